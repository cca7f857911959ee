// The source document from top to bottom, in one language: what its reader does, and sees.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { fleet } from "./world.mjs";
import { words } from "./words.mjs";

export const password = "correct horse battery";

export async function story({ page, base, dir, lang, mqtt, first, see }) {
  const t = words(lang);
  const open = (where) => page.goto(base + "/console/" + where);
  const press = (key) => page.getByRole("button", { name: t(key), exact: true }).click();
  const fill = (key, value) => page.getByLabel(t(key), { exact: true }).fill(value);
  const errors = async () => (await page.locator(".err:visible").allInnerTexts()).join("\n");

  // Step 1: sign in; the very first time the first administrator is made.
  await open("");
  if (first) {
    await page.waitForURL(/first$/);
    await see("first");
    await fill("first.key", "id:secret");
    await fill("user.name", "admin");
    await fill("user.password.new", password);
    await press("first.do");
  } else {
    await see("sign-in");
    await fill("user.name", "admin");
    await fill("user.password", password);
    await press("signin.do");
  }
  await page.waitForURL(base + "/console/");
  await open("?lang=" + lang);
  await see("overview-empty");

  // A product and its devices, from a list with two wrong rows and then from a good one.
  await open("products/new");
  await see("product-new");
  await fill("product.name", lang === "en" ? "Street lamp" : "智能路灯");
  await press("confirm");
  await page.waitForURL(/products\/a1/);
  const product = new URL(page.url()).pathname.split("/").pop();
  await see("product");
  await open("devices/new?product=" + product);
  const list = (name, rows) => { fs.writeFileSync(path.join(dir, name), ["DeviceName", ...rows].join("\r\n")); return path.join(dir, name); };
  await page.setInputFiles("input[name=List]", list("bad.csv", ["lamp-0", "la mp", "lamp-0"]));
  await press("confirm");
  assert.match(await errors(), lang === "en" ? /Row 3:[^]*Row 4:/ : /第 3 行：[^]*第 4 行：/);
  await see("device-new-errors");
  await page.setInputFiles("input[name=List]", list("good.csv", Array.from({ length: 150 }, (_, i) => `lamp-${String(i).padStart(3, "0")}`)));
  await press("confirm");
  await page.waitForURL(/devices\?product/);

  // Real devices come online: the first ten are all good, and are verified with.
  const csv = (await (await page.request.get(base + "/console/devices/export.csv?product=" + product)).text()).trim().split("\n");
  const part = (name, rows) => { fs.writeFileSync(path.join(dir, lang + name), [csv[0], ...rows].join("\n") + "\n"); return path.join(dir, lang + name); };
  fleet(dir, mqtt, part("few.csv", csv.slice(1, 11)), "good");
  fleet(dir, mqtt, part("many.csv", csv.slice(11)), "mixed");
  await assert.doesNotReject(until(async () => { await open("versions?product=" + product); return (await page.locator("main").innerText()).includes("150"); }));
  await see("versions");
  await open("devices?product=" + product);
  await see("devices");

  // Step 3: secure upgrade, and its public key.
  await open("security");
  await page.locator(`[id="${product}"] button`).first().click();
  await page.waitForSelector(`[id="key-${product}"]`);
  assert.match(await page.locator(`[id="key-${product}"]`).innerText(), /BEGIN PUBLIC KEY/);
  await see("security");

  // Step 4: a module, refused once for its alias.
  await open("modules/new?product=" + product);
  await fill("module.name", "mcu");
  await fill("module.alias", "mcu");
  await press("confirm");
  assert.match(await errors(), /4 to 64/);
  await see("module-new");
  await fill("module.alias", "motor-control");
  await press("confirm");
  await page.waitForURL(/modules\?/);
  await see("modules");

  // Steps 5 and 6: a full package.
  await open("packages/new?product=" + product);
  const name = lang === "en" ? "lamp-firmware" : "路灯固件_2";
  await fill("package.name", name);
  await fill("package.version", "2.0.0");
  fs.writeFileSync(path.join(dir, "fw.bin"), Buffer.alloc(200_000, "lamp " + lang));
  await page.setInputFiles("input[name=Files]", path.join(dir, "fw.bin"));
  await see("package-new");
  await press("confirm");
  await page.waitForURL(/packages\/p/);
  const pack = new URL(page.url()).pathname.split("/").pop();
  assert.match(await page.locator("main").innerText(), /MD5\s+[0-9a-f]{32}/);
  await see("package-unverified");

  // Step 7: verification on two devices.
  await page.getByRole("link", { name: t("verify"), exact: true }).first().click();
  await page.locator("input[name=Devices][value=lamp-000]").check();
  await page.locator("input[name=Devices][value=lamp-001]").check();
  await page.getByLabel(t("batch.timeout"), { exact: true }).fill("60");
  await see("verify");
  await press("confirm");
  await page.waitForURL(/batches\/j/);
  await page.locator("#live-states .pill.COMPLETED").waitFor({ timeout: 60_000 }); // by itself: nobody loads the page again
  await see("verification");

  // Step 8: batches. The preview says what the batch then does; a wrong percentage is said at once.
  const form = async () => {
    await open("packages/" + pack + "/batch");
    await page.locator("#preview .figure").waitFor();
  };
  await form();
  // A batch of a few devices that all succeed: targeted at those that are known to be good.
  assert.match(await page.locator("#preview .figure").innerText(), /^148$/);
  await page.locator("input[name=Target][value=SPECIFIC]").check();
  await fill("batch.devices", ["lamp-002", "lamp-003", "lamp-004", "lamp-005", "lamp-006", "lamp-007", "lamp-008", "lamp-009"].join("\n"));
  await press("batch.make");
  await page.waitForURL(/batches\/j/);
  await page.locator("#live-states .pill.COMPLETED").waitFor({ timeout: 60_000 });
  assert.equal((await page.locator("#live-failures").innerText()).trim(), "");
  await see("batch-succeeded");

  // A part of the rest: most succeed, some fail, and the page says how.
  await form();
  assert.match(await page.locator("#preview .figure").innerText(), /^140$/);
  await page.locator("input[name=Target][value=GRAY]").check();
  await fill("batch.gray", "101");
  await page.locator("#preview .err").waitFor();
  await fill("batch.gray", "80");
  await page.locator("#preview .figure").filter({ hasText: /^112$/ }).waitFor();
  await fill("batch.rate", "1000");
  await page.locator("input[name=TagKey]").first().fill("site");
  await page.locator("input[name=TagValue]").first().fill(lang === "en" ? "north" : "杭州 A 区");
  await see("batch-new");
  await press("batch.make");
  await page.waitForURL(/batches\/j/);
  await page.locator("#live-states .pill.COMPLETED").waitFor({ timeout: 120_000 });
  await page.waitForTimeout(1200);
  await see("batch-partly-failed");
  assert.match(await page.locator("#live-failures").innerText(), /-2[^]*-3[^]*-4|-4[^]*-3[^]*-2|-3/);
  await page.locator("#live-failures td.num a").first().click();
  await see("batch-failures");
  await open("devices/" + product + "/lamp-020");
  await see("device");

  // Scheduled, and cancelled as P54 says; dynamic, and cancelled as P55 says.
  await form();
  await page.locator("input[name=When][value=later]").check();
  const soon = await page.evaluate(() => { // as the browser's zone has it, which the page says below
    const at = new Date(Date.now() + 3600_000);
    return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  });
  await page.locator("input[name=Start]").fill(soon);
  await press("batch.make");
  await page.waitForURL(/batches\/j/);
  await page.getByRole("link", { name: t("cancel"), exact: true }).first().click();
  await see("cancel-static");
  await press("cancel.do");
  await page.locator(".pill.CANCELED").first().waitFor();
  await form();
  await page.locator("input[name=Selection][value=DYNAMIC]").check();
  await fill("batch.sources.other", "0.9.0");
  await press("batch.make");
  await page.waitForURL(/batches\/j/);
  await see("batch-dynamic");
  await page.getByRole("link", { name: t("cancel"), exact: true }).first().click();
  await see("cancel-dynamic");
  await press("cancel.do");
  await page.locator("#live-states .pill").first().waitFor();

  for (const [shot, where] of Object.entries({
    overview: "", packages: "ota", package: "packages/" + pack, batches: "batches", products: "products", groups: "groups", audit: "audit", settings: "settings", password: "password",
  })) {
    await open(where);
    await see(shot);
  }
}

async function until(done) {
  for (let n = 0; n < 60; n++) {
    if (await done()) return;
    await new Promise((ok) => setTimeout(ok, 500));
  }
  throw new Error("it did not come about");
}
