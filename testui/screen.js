// What is in front of the user: a page, found by its words, looked at with axe and kept as
// pictures in both themes and both widths.
import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { wordsOf } from "./words.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const wide = { width: 1280, height: 900 };
const narrow = { width: 400, height: 860 };

export class Screen {
  found = new Map(); // what is wrong, in words, and on which pages

  constructor(page, cloud, language, pictures) {
    Object.assign(this, { page, cloud, language, pictures, t: wordsOf(language), number: 0 });
    mkdirSync(pictures, { recursive: true });
    page.setDefaultTimeout(60_000);
    page.on("pageerror", (e) => this.wrong(`script: ${e.message}`));
    page.on("console", (m) => m.type() === "error" && !/status of 4\d\d/.test(m.text()) && this.wrong(`browser: ${m.text()}`));
    page.on("response", (r) => r.status() >= 500 && this.wrong(`${r.status()} of ${r.request().method()} ${r.url()}`));
  }

  wrong(what) {
    this.found.set(what, (this.found.get(what) ?? new Set()).add(this.now ?? "the beginning"));
  }

  go(path) { return this.page.goto(this.cloud.url + "/console/" + path); }
  input(id) { return this.page.locator(`#in-${id}`); }
  link(key, options = {}) { return this.page.getByRole("link", { name: this.t(key), exact: true, ...options }); }
  button(key, options = {}) { return this.page.getByRole("button", { name: this.t(key), exact: true, ...options }); }
  // choose presses a radio button or a box by its field's name and value, which both languages share.
  choose(name, value) { return this.page.locator(`input[name="${name}"][value="${value}"]`).check(); }
  // menu follows a line of the navigation at the side.
  menu(key) { return this.page.getByRole("navigation", { name: this.t("nav"), exact: true }).getByRole("link", { name: this.t(key), exact: true }).click(); }
  heading(text) { return this.page.getByRole("heading", { level: 1, name: text }).waitFor(); }
  title(key) { return this.heading(this.t(key)); }
  says(text) { return this.page.getByText(text).first().waitFor(); }
  flash(key, places) { return this.page.getByRole("status").filter({ hasText: this.t(key, places) }).waitFor(); }
  refuses(id, text) { return this.page.locator(`#in-${id}-err`, { hasText: text }).waitFor(); }

  // until opens the page again and again until what it waits for is there.
  async until(locator, what, limit = 120_000) {
    for (const end = Date.now() + limit; !(await locator.count());) {
      if (this.cloud.broken) throw this.cloud.broken;
      if (Date.now() > end) throw new Error(`${what} did not come about`);
      await this.page.reload();
    }
  }

  // see looks at the page that is open, in both themes and both widths.
  async see(name) {
    this.now = name;
    const picture = `${String(++this.number).padStart(2, "0")}-${name}`;
    const html = await this.page.locator("html").getAttribute("lang");
    if (html !== this.language) this.wrong(`the page says that its language is ${html}`);
    const text = await this.page.locator("main").innerText();
    for (const key of text.match(/\b(?:nav|batch|package|device|module|job|task|failure|form|error)\.[a-z]\w*(?:\.\w+)*\b/g) ?? []) this.wrong(`shows the key ${key}`);
    if (/<no value>|%!|\{[a-z]+\}/.test(text)) this.wrong(`shows an unfilled place: ${text.match(/.*(?:<no value>|%!|\{[a-z]+\}).*/)[0]}`);
    const chart = this.page.locator("[data-chart]");
    for (const theme of ["light", "dark"]) {
      await this.page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      if (await chart.count()) { // it is drawn once, in the colours of then
        await this.page.reload();
        await chart.locator("canvas").waitFor();
      }
      for (const size of [wide, narrow]) {
        await this.page.setViewportSize(size);
        await this.page.evaluate(() => scrollTo(0, 0));
        await this.page.screenshot({ path: join(this.pictures, `${picture}-${theme}-${size.width}.png`), fullPage: true, animations: "disabled" });
        // Colours do not depend on the width, nor the order of things on the theme.
        if (size === wide || theme === "light") await this.axe();
        const over = await this.page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
        if (over > 0) this.wrong(`is ${over} px wider than ${size.width}`);
      }
    }
    await this.page.emulateMedia({ colorScheme: "light" });
    await this.page.setViewportSize(wide);
  }

  async axe() {
    if (!(await this.page.evaluate(() => "axe" in window))) await this.page.evaluate(axe);
    const violations = await this.page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations
      .map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + n.html.slice(0, 120)).join(" | ")}`));
    for (const v of violations) this.wrong(`axe ${v}`);
  }
}
