// The console without JavaScript: every page is a page, every form a form.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { image } from "./images.js";
import { names, password } from "./names.js";

export async function withoutScripts(s, browser, context) {
  const page = s.page;
  const bare = await browser.newContext({ ...context, javaScriptEnabled: false });
  s.watch(await bare.newPage());
  s.bare = true;
  try {
    await play(s);
  } finally {
    s.bare = false;
    await bare.close();
    s.page = page;
  }
}

async function play(s) {
  await s.go("");
  await s.input("User").fill("admin");
  await s.input("Password").fill(password);
  await s.button("signin.do").click();
  await s.title("nav.overview");
  await s.see("nojs-overview");
  const key = await product(s);
  const secrets = await devices(s, key);
  s.cloud.fleet("bare", secrets, "good");
  const pack = await addPackage(s, key);
  await verify(s, pack);
  await batch(s, pack);
}

async function product(s) {
  await s.menu("nav.products");
  await s.link("product.new").first().click();
  await s.input("Name").fill(names[s.language].bare);
  await s.button("confirm").click();
  await s.flash("product.made", { name: names[s.language].bare });
  await s.is("the product", (await s.cloud.api("QueryProduct", { ProductKey: s.id() })).Data.ProductName, names[s.language].bare);
  return s.id();
}

async function devices(s, key) {
  await s.link("device.new").click();
  await s.input("Names").fill("bare-1\nbare-2\nbare-3");
  await s.button("confirm").click();
  await s.flash("device.made", { n: 3 });
  await s.is("devices of the product", (await s.cloud.api("QueryDevice", { ProductKey: key })).Total, 3);
  await s.see("nojs-devices");
  const download = s.page.waitForEvent("download");
  await s.link("export").click();
  return readFileSync(await (await download).path(), "utf8");
}

async function addPackage(s, key) {
  const file = join(s.cloud.dir, "bare-2.0.0.bin");
  writeFileSync(file, image("bare 2.0.0", 50_000));
  await s.menu("nav.ota");
  await s.link("package.new").first().click();
  await s.input("Product").selectOption(key);
  await s.button("package.product.choose").click();
  await s.input("Name").fill("bare-2");
  await s.input("Version").fill("2.0.0");
  await s.input("Files").setInputFiles(file);
  await s.see("nojs-package-new");
  await s.button("confirm").click();
  await s.flash("package.made", { name: "bare-2" });
  await s.cloudSays("QueryOTAFirmware", { FirmwareId: s.id() }, { ProductKey: key, DestVersion: "2.0.0", FirmwareSize: 50_000 });
  return s.id();
}

async function verify(s, pack) {
  await s.link("verify").click();
  await s.choose("Devices", "bare-1");
  await s.button("confirm").click();
  await s.page.waitForURL(/batches/);
  await s.go(`packages/${pack}`);
  await s.until(s.page.getByText(s.t("package.status.1"), { exact: true }), "the verification without JavaScript");
}

async function batch(s, pack) {
  await s.link("batch.new").click();
  await s.choose("Target", "ALL");
  await s.button("preview.do").click();
  await s.page.locator("#preview .figure").filter({ hasText: /^2$/ }).waitFor();
  await s.see("nojs-batch-form");
  await s.button("batch.make").click();
  await s.page.waitForURL(/\/console\/batches\//);
  await s.until(s.page.locator("#live-states .pill", { hasText: s.t("job.COMPLETED") }), "the end of the batch without JavaScript");
  await s.tasks(s.id(), { SUCCEEDED: 2, FAILED: 0 });
  await s.see("nojs-batch");
}
