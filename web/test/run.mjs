// make test-ui: the source document played in both languages; axe on every page, and every
// page's picture in both themes, wide and 400 pixels wide, in build/ui.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { story } from "./story.mjs";
import { browser, end, serve } from "./world.mjs";

const axe = fs.readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const out = process.env.OUT ?? "build/ui";
fs.mkdirSync(out, { recursive: true });
const dir = fs.mkdtempSync(path.join(os.tmpdir(), "otaui"));
const wrong = [];
const b = await browser();
try {
  const at = await serve(dir);
  const base = "http://" + at.http;
  for (const [n, lang] of ["zh-CN", "en"].entries()) {
    // The policy is lifted for axe alone, which is put into the page; the server's tests hold it.
    const context = await b.newContext({ locale: lang, viewport: { width: 1360, height: 900 }, timezoneId: "Asia/Shanghai", bypassCSP: true });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on("pageerror", (e) => wrong.push(`${lang} ${page.url()}: ${e.message}`));
    const see = async (name) => {
      await page.evaluate(axe);
      const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      for (const v of found.violations) wrong.push(`${lang} ${name}: ${v.id} at ${v.nodes[0].target.join(" ")}`);
      for (const [theme, width] of [["light", 1360], ["dark", 1360], ["light", 400], ["dark", 400]]) {
        await page.emulateMedia({ colorScheme: theme });
        await page.setViewportSize({ width, height: 900 });
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (over > 0) wrong.push(`${lang} ${name}: ${over} pixels too wide at ${width}`);
        await page.screenshot({ path: path.join(out, `${name}-${lang}-${theme}-${width}.png`) });
      }
      await page.emulateMedia({ colorScheme: "light" });
      await page.setViewportSize({ width: 1360, height: 900 });
    };
    await story({ page, base, dir, lang, mqtt: at.mqtt, first: n === 0, see });
    console.log(`${lang}: played from top to bottom`);
    await context.close();
  }
} catch (e) {
  for (const c of b.contexts()) for (const p of c.pages()) await p.screenshot({ path: path.join(out, "broken.png"), fullPage: true });
  wrong.push(e.stack);
} finally {
  await b.close();
  end();
}
for (const w of wrong) console.error(w);
console.log(wrong.length ? `${wrong.length} things are wrong; pictures in ${out}` : `all well; pictures in ${out}`);
process.exit(wrong.length ? 1 : 0);
