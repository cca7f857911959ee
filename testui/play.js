// make test-ui: plays the source document in a browser, in both languages.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import * as bare from "./bare.js";
import * as begin from "./begin.js";
import { Cloud } from "./cloud.js";
import * as doc from "./document.js";
import * as end from "./end.js";
import { makeImages } from "./images.js";
import * as keys from "./keys.js";
import * as many from "./many.js";
import { checking, failing, names } from "./names.js";
import * as people from "./people.js";
import { Screen, wide } from "./screen.js";
import { languages } from "./words.js";

const out = new URL("../build/test-ui/", import.meta.url).pathname;
const since = Date.now();
const say = (text) => console.log(`[${((Date.now() - since) / 1000).toFixed(1).padStart(6)} s] ${text}`);

// Each language is played in a zone of its own, which has no summer time.
const zones = { en: ["America/Bogota", -5], "zh-CN": ["Asia/Shanghai", 8] };

// walk is the play, scene by scene. The numbers are the document's steps.
function walk(s, w, files, browser, context) {
  const n = names[s.language];
  return [
    ["the first administrator", () => begin.firstUser(s)],
    ["1: sign-in", () => begin.signIn(s)],
    ["the other language, and the theme", () => begin.otherLanguage(s)],
    ["a product", () => begin.product(s, w)],
    ["devices, and two agents", () => begin.devices(s, w)],
    ["3: secure upgrade", () => doc.secureUpgrade(s, w)],
    ["a device that has the key", () => begin.more(s, w, [checking])],
    ["4: a module", () => doc.module(s, w)],
    ["5, 6: a package", async () => { w.firmware = await doc.addPackage(s, { name: n.firmware, file: files.full2, version: "2.0.0", picture: "package-new" }); }],
    ["7: its verification", () => doc.verify(s, w.firmware, "verify")],
    ["8: a batch that succeeds", () => doc.goodBatch(s, w.firmware)],
    ["5 to 7: a diff package", async () => {
      w.patch = await doc.addPackage(s, { name: n.patch, file: files.diff, version: "2.1.0", source: "2.0.0", picture: "package-new-diff" });
      await doc.verify(s, w.patch, "verify-diff");
    }],
    ["8: a dynamic batch, and its strategy cancelled", () => doc.dynamicBatch(s, w.patch)],
    ["5 to 7: a package that some devices cannot install", async () => {
      w.broken = await doc.addPackage(s, { name: n.broken, file: files.full3, version: "3.0.0" });
      await doc.verify(s, w.broken);
    }],
    ["a diff package made by the server", () => doc.patchByServer(s, w.broken)],
    ["four more agents", () => begin.more(s, w, Object.keys(failing))],
    ["8: a scheduled batch, cancelled", () => doc.scheduledBatch(s, w.broken)],
    ["8: a batch that fails in part", () => doc.brokenBatch(s, w.broken)],
    ["lists, a device", () => end.lists(s, w)],
    ["a device's timeline", () => end.timeline(s, w)],
    ["statistics", () => end.statistics(s)],
    ["groups", () => end.groups(s)],
    ["many devices, from a file", () => many.devices(s, w)],
    ["their lists", () => many.lists(s, w)],
    ["their package, tried on devices that are picked", () => many.pack(s, w)],
    ["a batch of a group", () => many.group(s, w)],
    ["a batch of a list in a file", () => many.file(s, w)],
    ["a grey batch", () => many.grey(s, w)],
    ["what failed, anew", () => many.retry(s, w)],
    ["a clone, its rate, and a rest", () => many.cloneAndRest(s, w)],
    ["a batch that pauses itself, and others, cancelled with their tasks", () => many.cancelAll(s, w)],
    ["their statistics", () => many.statistics(s, w)],
    ["without JavaScript", () => bare.withoutScripts(s, browser, context)],
    ["with the keyboard", () => keys.keyboard(s, browser, context, w)],
    ["the audit log", () => end.audit(s)],
    ["settings", () => end.settings(s)],
    ["a password", () => end.ownPassword(s)],
    ["a viewer", () => people.viewer(s, w)],
    ["an operator", () => people.operator(s, w)],
    ["an administrator", () => people.admin(s, w)],
  ];
}

async function play(language, dir, files) {
  // A browser of its own: contexts of one browser share its clipboard.
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", env: { ...process.env, LANGUAGE: language.replace("-", "_") },
    args: [`--lang=${language}`, ...(process.getuid() === 0 ? ["--no-sandbox"] : [])],
  });
  const cloud = new Cloud(join(dir, language));
  const [timezoneId, zone] = zones[language];
  const context = { locale: language, timezoneId, viewport: wide, acceptDownloads: true };
  const first = await browser.newContext({ ...context, permissions: ["clipboard-read", "clipboard-write"] });
  const s = new Screen(await first.newPage(), cloud, language, join(out, language));
  s.zone = zone;
  try {
    await cloud.start();
    for (const [title, scene] of walk(s, {}, files, browser, context)) {
      say(`${language}: ${title}`);
      s.scene = title;
      await scene();
      if (cloud.broken) throw cloud.broken;
    }
  } catch (e) {
    await s.report(`the play broke off: ${(cloud.broken ?? e).stack}`);
  } finally {
    await browser.close();
    await cloud.stop();
  }
  return s;
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const dir = mkdtempSync(join(tmpdir(), "test-ui-")); // short: the agents' sockets lie in it
const files = makeImages(dir);
const wanted = process.argv.length > 2 ? process.argv.slice(2) : languages;
const screens = await Promise.all(wanted.map((language) => play(language, dir, files)));
const found = screens.flatMap((s) => [...s.found].map(([what, scenes]) => `${s.language}, ${[...scenes].join("; ")}: ${what.split("\n")[0]}`));
for (const what of found) console.log(`wrong: ${what}`);
say(`${screens.map((s) => `${s.number} screens in ${s.language}`).join(", ")}: ${found.length ? `${found.length} things are wrong` : "all is well"}; pictures in build/test-ui${found.length ? `, logs in ${dir}` : ""}`);
if (!found.length) rmSync(dir, { recursive: true, force: true });
process.exitCode = found.length ? 1 : 0;
