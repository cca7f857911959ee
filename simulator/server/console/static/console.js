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

  // Parts that are kept live: replaced when the server says that there is news.
  async function refresh() {
    try {
      const doc = await fetched(location.href);
      for (const old of $$("[data-live]")) {
        const fresh = doc.getElementById(old.id);
        if (fresh && !old.contains(document.activeElement)) old.replaceWith(fresh);
      }
      begin();
    } catch { /* the next news tries again */ }
  }
  let source, wait;
  function live() {
    const at = document.querySelector("[data-events]");
    if (!at || source) return;
    source = new EventSource(at.dataset.events);
    source.addEventListener("news", () => {
      clearTimeout(wait);
      wait = setTimeout(refresh, 300);
    });
    addEventListener("pagehide", () => source.close());
  }

  // Charts take their colours from the sheet. A canvas knows no light-dark(): a probe does.
  const plots = new WeakMap();
  function plot(box, c) {
    const probe = document.createElement("i");
    box.append(probe);
    const color = (name) => { probe.style.color = "var(" + name + ")"; return getComputedStyle(probe).color; };
    const lines = { stroke: color("--line"), width: 1 };
    const axis = { stroke: color("--quiet"), grid: lines, ticks: lines };
    const line = (label, name) => ({ label, stroke: color(name), width: 2, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) });
    const series = [{ label: c.Names[3] }, line(c.Names[0], "--s-succeeded"), line(c.Names[1], "--s-failed"), line(c.Names[2], "--s-canceled")];
    box.replaceChildren();
    const size = () => ({ width: box.clientWidth, height: 220 });
    const made = new uPlot({
      ...size(), series, axes: [axis, { ...axis, size: 60 }],
      scales: { x: { range: (_, from, to) => [from, Math.max(to, from + 60)] }, y: { range: [0, Math.max(c.Total, 1)] } },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), c.Zone),
    }, [c.seconds, c.Succeeded, c.Failed, c.Canceled], box);
    const watch = new ResizeObserver(() => made.setSize(size()));
    watch.observe(box);
    return () => { watch.disconnect(); made.destroy(); };
  }
  async function charts() {
    if (!window.uPlot) return;
    for (const box of $$("[data-chart]")) {
      try {
        const c = await (await fetch(box.dataset.chart)).json();
        plots.get(box)?.();
        plots.set(box, plot(box, c));
      } catch { /* the figures beside it are there */ }
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
        await navigator.clipboard.writeText(document.getElementById(el.dataset.copy).textContent.trim());
        el.textContent = el.dataset.done;
      });
    });
    once("form[data-upload]", "ready", upload);
    live();
    charts();
  }
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin); else begin();
})();
