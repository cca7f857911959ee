// The console with nothing but a keyboard. Where the focus comes to has to be seen, and has
// to have a name that can be read out.
import { bench, password } from "./names.js";

// focus says what has the focus: whether it is seen, what is around it, and what it is called.
const focus = (s) => s.page.evaluate(() => {
  const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
  const label = e.labels?.length ? [...e.labels].map((l) => l.textContent).join(" ") : "";
  const by = (e.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
  return {
    html: e.outerHTML.slice(0, 100), body: e === document.body, name: (e.getAttribute("aria-label") || by.trim() || label || e.innerText || e.title || "").trim(),
    // What is inside of a browser's own input is marked by the browser.
    seen: box.width > 0 && box.height > 0, marked: !e.matches(":focus") || style.outlineStyle !== "none" || style.boxShadow !== "none",
  };
});

// tab goes from one thing to the next until it is at the wanted one.
async function tab(s, wanted, what) {
  for (let n = 0; n < 150; n++) {
    await s.page.keyboard.press("Tab");
    const at = await focus(s);
    if (at.body) continue; // the browser's own things come between the last and the first
    if (!at.seen) s.wrong(`the focus cannot be seen at ${at.html}`);
    if (!at.marked) s.wrong(`nothing marks the focus at ${at.html}`);
    if (!at.name) s.wrong(`the focus comes to something without a name: ${at.html}`);
    if (await wanted.evaluate((e) => e === document.activeElement).catch(() => false)) return;
  }
  throw new Error(`no tab leads to ${what}`);
}

// pick goes with the arrows to a choice of the group that has the focus.
async function pick(s, name, value) {
  const one = s.page.locator(`input[name="${name}"][value="${value}"]`);
  for (let n = 0; n < 10 && !(await one.isChecked()); n++) await s.page.keyboard.press("ArrowDown");
  await s.is(`${name} chosen with the arrows`, await one.isChecked(), true);
}

export async function keyboard(s, browser, context, w) {
  const page = s.page;
  const other = await browser.newContext(context);
  s.watch(await other.newPage());
  try {
    await signIn(s);
    await batch(s, w);
  } finally {
    await other.close();
    s.page = page;
  }
}

async function signIn(s) {
  await s.go("sign-in");
  await tab(s, s.input("User"), "the name");
  await s.page.keyboard.type("admin");
  await s.page.keyboard.press("Tab");
  await s.page.keyboard.type(password);
  await tab(s, s.button("signin.do"), "the button");
  await s.page.keyboard.press("Enter");
  await s.title("nav.overview");
  await s.page.keyboard.press("Tab");
  await s.is("the first tab is the way past the navigation", (await focus(s)).name, s.t("skip"));
  await s.page.keyboard.press("Enter");
  await tab(s, s.page.locator("main a").first(), "the first link of the page");
}

// A batch for one device, cancelled in its dialog.
async function batch(s, w) {
  await s.go(`packages/${w.firmware}`);
  await tab(s, s.link("batch.new"), "the batch");
  await s.page.keyboard.press("Enter");
  await s.title("batch.new");
  await tab(s, s.page.locator("input[name=Target]:checked"), "the range");
  await pick(s, "Target", "SPECIFIC");
  await tab(s, s.input("Devices"), "the names");
  await s.page.keyboard.type(bench);
  await tab(s, s.page.locator("input[name=When]:checked"), "the time");
  await pick(s, "When", "later");
  await tab(s, s.input("Start"), "the start");
  await s.input("Start").evaluate((e, at) => (e.value = at), new Date(Date.now() + (s.zone + 2) * 3_600_000).toISOString().slice(0, 16)); // how it is typed depends on the system
  await tab(s, s.input("MaximumPerMinute"), "the rate");
  await s.page.keyboard.type("30");
  await tab(s, s.input("Retry"), "the retry");
  await s.page.keyboard.press("ArrowDown");
  await tab(s, s.button("batch.make"), "the button");
  await s.page.keyboard.press("Enter");
  await s.page.waitForURL(/\/console\/batches\//);
  const job = s.id();
  await s.cloudSays("QueryOTAJob", { JobId: job }, { JobStatus: "PLANNED", TargetSelection: "SPECIFIC", MaximumPerMinute: 30, RetryInterval: 0 });
  await tab(s, s.link("cancel"), "the cancellation");
  await s.page.keyboard.press("Enter");
  await s.title("cancel.title");
  await tab(s, s.page.locator("input[name=What]:checked"), "what is to be cancelled");
  await pick(s, "What", "all");
  await tab(s, s.button("cancel.do"), "the button");
  await s.page.keyboard.press("Enter");
  await s.flash("cancel.done");
  await s.cloudSays("QueryOTAJob", { JobId: job }, { JobStatus: "CANCELED" });
}
