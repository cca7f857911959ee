// What is in front of the user: a page, found by its words, looked at with axe, kept as pictures
// in both themes and both widths, and held against what the cloud says.
import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { wordsOf } from "./words.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const wide = { width: 1280, height: 900 };
const narrow = { width: 400, height: 860 };
const patience = 20_000; // for what a page does by itself
export const long = 60_000; // for what devices do

export class Screen {
  found = new Map(); // what is wrong, in words, and in which scenes
  scene = "the beginning";

  constructor(page, cloud, language, pictures) {
    Object.assign(this, { cloud, language, pictures, t: wordsOf(language), number: 0 });
    mkdirSync(pictures, { recursive: true });
    this.watch(page);
  }

  // watch makes a page the one that is in front of the user.
  watch(page) {
    this.page = page;
    page.setDefaultTimeout(patience);
    page.on("pageerror", (e) => this.wrong(`script: ${e.message}`));
    page.on("console", (m) => m.type() === "error" && !/status of 4\d\d/.test(m.text()) && this.wrong(`browser: ${m.text()}`));
    page.on("response", (r) => r.status() >= 500 && this.wrong(`${r.status()} of ${r.request().method()} ${r.url()}`));
  }

  // wrong notes what is wrong; the play goes on.
  wrong(what) {
    this.found.set(what, (this.found.get(what) ?? new Set()).add(this.scene));
  }

  // report says what is wrong with all that helps: the page's address, its text, a picture.
  async report(what) {
    this.wrong(what);
    const picture = join(this.pictures, `wrong-${this.found.size}.png`);
    await this.page.screenshot({ path: picture, fullPage: true, timeout: 5_000 }).catch(() => {});
    const text = await this.page.locator("main").innerText({ timeout: 2_000 }).catch((e) => `(${e.message.split("\n")[0]})`);
    console.log(`wrong: ${this.language}, ${this.scene}: ${what}\n  at ${this.page.url()}, picture ${picture}\n  the page says:\n${text.replace(/\n{2,}/g, "\n").slice(0, 1500).replace(/^/gm, "  | ")}`);
  }

  // is holds what there is against what is expected; the play goes on when it is something else.
  async is(what, got, expected) {
    if (!isDeepStrictEqual(got, expected)) await this.report(`${what}: expected ${JSON.stringify(expected)}, there is ${JSON.stringify(got)}`);
  }

  // cloudSays asks the API, and holds the named members of its answer against what is expected.
  async cloudSays(action, params, expected) {
    const answer = await this.cloud.api(action, params), data = answer.FirmwareInfo ?? answer.Data;
    for (const [name, want] of Object.entries(expected)) await this.is(`${action} says ${name}`, data[name], want);
    return data;
  }

  // tasks holds how many devices of a batch are in each state against what is expected.
  async tasks(job, expected) {
    for (const [status, n] of Object.entries(expected)) await this.is(`tasks of ${job} that are ${status}`, await this.cloud.count(job, status), n);
  }

  // contains wants words on the page, wherever they are.
  async contains(...texts) {
    const page = await this.page.locator("main").innerText();
    for (const text of texts) if (!page.includes(text)) await this.report(`expected is the text ${JSON.stringify(text)}`);
  }

  go(path) { return this.page.goto(this.cloud.url + "/console/" + path); }
  input(id) { return this.page.locator(`#in-${id}`); }
  // link is the first of this name: what comes next is offered in more than one place.
  link(key, places) { return this.page.getByRole("link", { name: this.t(key, places), exact: true }).first(); }
  button(key, places) { return this.page.getByRole("button", { name: this.t(key, places), exact: true }); }
  // choose presses a radio button or a box by its field's name and value, which both languages share.
  choose(name, value) { return this.page.locator(`input[name="${name}"][value="${value}"]`).check(); }
  // menu follows a line of the navigation at the side.
  menu(key) { return this.nav().getByRole("link", { name: this.t(key), exact: true }).click(); }
  nav() { return this.page.getByRole("navigation", { name: this.t("nav"), exact: true }); }
  heading(text) { return this.page.getByRole("heading", { level: 1, name: text }).waitFor(); }
  title(key) { return this.heading(this.t(key)); }
  says(text) { return this.page.getByText(text).first().waitFor(); }
  flash(key, places) { return this.page.getByRole("status").filter({ hasText: this.t(key, places) }).waitFor(); }
  refuses(id, text) { return this.page.locator(`#in-${id}-err`, { hasText: text }).waitFor(); }
  row(name) { return this.page.getByRole("row").filter({ has: this.page.getByRole("link", { name, exact: true }) }); }
  id() { return new URL(this.page.url()).pathname.split("/").pop(); }

  // until opens the page again and again until what it waits for is there.
  async until(locator, what, limit = long) {
    for (const end = Date.now() + limit; !(await locator.count());) {
      if (this.cloud.broken) throw this.cloud.broken;
      if (Date.now() > end) throw new Error(`${what} did not come about`);
      await this.page.reload();
    }
  }

  // live waits for what is to come onto the page by itself: nobody loads it again.
  async live(locator, what, limit = long) {
    await this.page.evaluate(() => (window.stays = true));
    await Promise.race([locator.waitFor({ timeout: limit }), this.cloud.broke]).catch((e) => { throw new Error(`${what} did not come onto the page by itself: ${e.message}`); });
    await this.is(`${what} came without a reload`, await this.page.evaluate(() => window.stays), true);
  }

  // see looks at the page that is open, in both themes and both widths.
  async see(name) {
    const before = this.scene;
    this.scene = `${before}, ${name}`;
    const picture = `${String(++this.number).padStart(2, "0")}-${name}`;
    await this.words();
    if (this.bare) return this.seeBare(picture, before);
    const chart = this.page.locator("[data-chart], [data-stack]");
    for (const theme of ["light", "dark"]) {
      await this.page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      if (await chart.count()) { // it is drawn once, in the colours of then
        await this.page.reload();
        for (const one of await chart.all()) await one.locator("canvas").first().waitFor();
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
    this.scene = before;
  }

  // seeBare looks at a page in which no script runs, so axe neither.
  async seeBare(picture, before) {
    for (const [theme, size] of [["light", wide], ["dark", narrow]]) {
      await this.page.emulateMedia({ colorScheme: theme });
      await this.page.setViewportSize(size);
      const png = await this.page.screenshot({ path: join(this.pictures, `${picture}-${theme}-${size.width}.png`), fullPage: true, animations: "disabled" });
      if (png.readUInt32BE(16) > size.width) this.wrong(`is ${png.readUInt32BE(16) - size.width} px wider than ${size.width}`);
    }
    await this.page.setViewportSize(wide);
    this.scene = before;
  }

  // words looks for what a catalog or a template has left out.
  async words() {
    const html = await this.page.locator("html").getAttribute("lang");
    if (html !== this.language) this.wrong(`the page says that its language is ${html}`);
    const text = await this.page.locator("main").innerText();
    for (const key of text.match(/\b(?:nav|batch|package|device|module|job|task|failure|form|error)\.[a-z]\w*(?:\.\w+)*\b/g) ?? []) this.wrong(`shows the key ${key}`);
    if (/<no value>|%!|\{[a-z]+\}/.test(text)) this.wrong(`shows an unfilled place: ${text.match(/.*(?:<no value>|%!|\{[a-z]+\}).*/)[0]}`);
  }

  async axe() {
    await this.page.locator(".htmx-request").waitFor({ state: "detached" }); // what is being asked for is paler for a moment
    if (!(await this.page.evaluate(() => "axe" in window))) await this.page.evaluate(axe);
    const violations = await this.page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations
      .map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + n.html.slice(0, 120)).join(" | ")}`));
    for (const v of violations) this.wrong(`axe ${v}`);
  }
}
