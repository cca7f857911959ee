// Makes pages better where there is JavaScript; each of them works without.
"use strict";
(() => {
  const $$ = (sel, at = document) => [...at.querySelectorAll(sel)];
  document.documentElement.classList.add("js");

  // The server writes times in the browser's zone from the next page on.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes("otasim_zone=" + encodeURIComponent(zone))) {
    document.cookie = "otasim_zone=" + encodeURIComponent(zone) + "; path=/console/; max-age=31536000; samesite=lax";
  }

  async function fetched(url) {
    const answer = await fetch(url, { headers: { "X-Live": "1" }, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) throw new Error(answer.status);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  // Parts that are kept live: replaced when the server says that there is news, but not more
  // often than each second or two, not while nobody looks, and never under the keyboard or a
  // selection.
  let busy = false;
  async function refresh() {
    if (document.hidden || busy) return later(1500);
    busy = true;
    try {
      const doc = await fetched(document.querySelector("main").dataset.here || location.href);
      for (const old of $$("[data-live]")) {
        const fresh = doc.getElementById(old.id);
        const marked = getSelection();
        if (!fresh || old.contains(document.activeElement) || (!marked.isCollapsed && old.contains(marked.anchorNode))) continue;
        const at = $$(".scroll", old).map((s) => s.scrollLeft);
        old.replaceWith(fresh);
        $$(".scroll", fresh).forEach((s, i) => { s.scrollLeft = at[i] ?? 0; });
      }
      begin();
    } catch { /* the next news tries again */ }
    busy = false;
  }
  let source, wait;
  function later(ms) {
    clearTimeout(wait);
    wait = setTimeout(refresh, ms);
  }
  function live() {
    const at = document.querySelector("[data-events]");
    if (!at || source) return;
    source = new EventSource(at.dataset.events);
    let last = 0;
    source.addEventListener("news", () => {
      later(Math.max(300, last + 2000 - Date.now()));
      last = Date.now();
    });
    addEventListener("pagehide", () => source.close());
  }

  // Charts take their colours from the sheet. A canvas knows no light-dark(): a probe does.
  const plots = new WeakMap();
  // Times of a chart are those of the page: its zone, 24 hours, and of each tick no more than
  // it needs to be told from the next.
  function clock(zone) {
    const form = (options) => new Intl.DateTimeFormat("sv-SE", { timeZone: zone, hourCycle: "h23", ...options });
    const day = { year: "numeric", month: "2-digit", day: "2-digit" };
    const time = { hour: "2-digit", minute: "2-digit" };
    const full = form({ ...day, ...time, second: "2-digit" });
    const [date, minute, second] = [form(day), form(time), form({ ...time, second: "2-digit" })];
    const say = (f, at) => f.format(new Date(at * 1e3));
    return {
      full: (_, at) => (at == null ? "–" : say(full, at)),
      ticks: (_, all, __, ___, step) => all.map((at, i) => {
        if (step >= 86400) return say(date, at);
        const text = say(step < 60 ? second : minute, at);
        return i === 0 || say(date, at) !== say(date, all[i - 1]) ? text + "\n" + say(date, at) : text;
      }),
    };
  }
  function plot(box, c) {
    const probe = document.createElement("i");
    box.append(probe);
    const color = (name) => { probe.style.color = "var(" + name + ")"; return getComputedStyle(probe).color; };
    const lines = { stroke: color("--line"), width: 1 };
    const axis = { stroke: color("--quiet"), grid: lines, ticks: lines };
    const line = (label, name) => ({ label, stroke: color(name), width: 2, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) });
    const times = clock(c.Zone);
    const series = [{ label: c.Names[3], value: times.full }, line(c.Names[0], "--s-succeeded"), line(c.Names[1], "--s-failed"), line(c.Names[2], "--s-canceled")];
    box.replaceChildren();
    const size = () => ({ width: box.clientWidth, height: 220 });
    const made = new uPlot({
      ...size(), series, axes: [{ ...axis, values: times.ticks, space: 90 }, { ...axis, size: 60 }],
      scales: { x: { range: (_, from, to) => [from, Math.max(to, from + 60)] }, y: { range: [0, Math.max(c.Total, 1)] } },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), c.Zone),
    }, [c.seconds, c.Succeeded, c.Failed, c.Canceled], box);
    const watch = new ResizeObserver(() => made.setSize(size()));
    watch.observe(box);
    return () => { watch.disconnect(); made.destroy(); };
  }
  // Parts of a whole over time, one upon the other: each line is drawn down to the bottom, the
  // topmost first, and its legend says its own part.
  function stack(box, c) {
    const probe = document.createElement("i");
    box.append(probe);
    const color = (name) => { probe.style.color = "var(" + name + ")"; return getComputedStyle(probe).color; };
    const lines = { stroke: color("--line"), width: 1 };
    const axis = { stroke: color("--quiet"), grid: lines, ticks: lines };
    const times = clock(c.Zone);
    // The newest figures hold until now; else they would be a step of no width, and a single moment nothing at all.
    const last = c.Seconds.length - 1;
    if (last >= 0) {
      c.Seconds.push(Math.max(Math.ceil(Date.now() / 1e3), c.Seconds[last] + 60));
      for (const l of c.Lines) l.Devices.push(l.Devices[last]);
    }
    const sums = [];
    c.Lines.forEach((l, i) => sums.push(l.Devices.map((n, at) => n + (i ? sums[i - 1][at] : 0))));
    const drawn = c.Lines.map((l, i) => ({ ...l, sum: sums[i] })).reverse();
    const series = [{ label: c.Time, value: times.full }, ...drawn.map((l) => ({
      label: l.Label, stroke: color("--c" + l.Color), fill: color("--c" + l.Color), width: 1, points: { show: false },
      paths: uPlot.paths.stepped({ align: 1 }), value: (_, __, ___, at) => (at == null ? "–" : l.Devices[at]),
    }))];
    box.replaceChildren();
    const size = () => ({ width: box.clientWidth, height: 260 });
    const made = new uPlot({
      ...size(), series, axes: [{ ...axis, values: times.ticks, space: 90 }, { ...axis, size: 60 }],
      scales: { x: { range: (_, from, to) => [from, Math.max(to, from + 60)] }, y: { range: (_, __, most) => [0, Math.max(most, 1)] } },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), c.Zone),
    }, [c.Seconds, ...drawn.map((l) => l.sum)], box);
    const watch = new ResizeObserver(() => made.setSize(size()));
    watch.observe(box);
    return () => { watch.disconnect(); made.destroy(); };
  }
  // The same in a table, thinned out to what can be read.
  function table(box, c) {
    if (!box) return;
    const times = clock(c.Zone);
    const row = (kind, cells) => {
      const tr = document.createElement("tr");
      for (const text of cells) tr.append(Object.assign(document.createElement(kind), { textContent: text }));
      return tr;
    };
    const each = Math.max(1, Math.ceil(c.seconds.length / 20));
    const rows = c.seconds.map((at, i) => [times.full(null, at), c.Succeeded[i], c.Failed[i], c.Canceled[i]])
      .filter((_, i) => i % each === 0 || i === c.seconds.length - 1);
    const out = document.createElement("table");
    out.append(row("th", [c.Names[3], ...c.Names.slice(0, 3)]), ...rows.map((r) => row("td", r)));
    box.replaceChildren(out);
  }
  async function charts() {
    if (!window.uPlot) return;
    for (const box of $$("[data-chart]")) {
      try {
        const c = await (await fetch(box.dataset.chart)).json();
        plots.get(box)?.();
        plots.set(box, plot(box, c));
        table(box.parentElement.querySelector("[data-table]"), c);
      } catch { /* the figures beside it are there */ }
    }
    for (const box of $$("[data-stack]")) {
      try {
        const c = await (await fetch(box.dataset.stack)).json();
        plots.get(box)?.();
        plots.set(box, stack(box, c));
      } catch { /* its table is there */ }
    }
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", charts);

  // An upload with its progress. The answer is a page like any other.
  function upload(form) {
    form.addEventListener("submit", (e) => {
      const file = $$("input[type=file]", form).find((i) => i.files.length);
      if (!file || e.submitter?.name === "Choose") return;
      e.preventDefault();
      const bar = form.querySelector("progress");
      const said = form.querySelector("[data-said]");
      const send = new XMLHttpRequest();
      bar.hidden = false;
      for (const b of $$("button", form)) b.disabled = true;
      send.upload.onprogress = (p) => {
        bar.max = p.total;
        bar.value = p.loaded;
        said.textContent = Math.floor((100 * p.loaded) / p.total) + " %";
      };
      const again = () => {
        bar.hidden = true;
        said.textContent = form.dataset.failed;
        for (const b of $$("button", form)) b.disabled = false;
      };
      send.onerror = again;
      send.onload = () => {
        if (!send.responseText.includes("<main")) return again();
        const doc = new DOMParser().parseFromString(send.responseText, "text/html");
        history.pushState(null, "", send.responseURL);
        document.title = doc.title;
        document.body.replaceWith(doc.body);
        begin();
      };
      send.open("POST", form.action);
      send.send(new FormData(form));
    });
  }

  function once(sel, name, do_) {
    for (const el of $$(sel)) {
      if (el.dataset[name]) continue;
      el.dataset[name] = "1";
      do_(el);
    }
  }

  function begin() {
    once("[data-auto]", "ready", (el) => el.addEventListener("change", () => {
      if (el.dataset.auto === "product") location.search = "?product=" + encodeURIComponent(el.value);
      else el.form.requestSubmit();
    }));
    once("[data-copy]", "ready", (el) => {
      el.hidden = false;
      el.addEventListener("click", async () => {
        const what = el.dataset.copy ? document.getElementById(el.dataset.copy) : el.previousElementSibling;
        await navigator.clipboard.writeText(what.textContent.trim());
        const before = [...el.childNodes];
        el.replaceChildren(el.dataset.done);
        setTimeout(() => el.replaceChildren(...before), 2000);
      });
    });
    once("form[data-upload]", "ready", upload);
    live();
    charts();
  }
  // A form that was refused begins where it is wrong.
  addEventListener("DOMContentLoaded", () => document.querySelector("main [role=alert] ~ form [aria-invalid=true], main form [aria-invalid=true]")?.focus());
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin); else begin();
})();
