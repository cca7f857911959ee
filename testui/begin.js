// The first user, a product and its devices.
import { readFileSync } from "node:fs";
import { accessKey } from "./cloud.js";
import { image } from "./images.js";
import { all, bench, checking, failing, names, password, slow, sound } from "./names.js";

export async function firstUser(s) {
  await s.go("");
  await s.title("first.title");
  await s.input("Key").fill("play:wrong");
  await s.input("User").fill("admin");
  await s.input("Password").fill("short");
  await s.button("first.do").click();
  await s.refuses("Key", s.t("first.key.wrong"));
  await s.see("first-admin");
  await s.input("Key").fill(accessKey);
  await s.input("Password").fill(password);
  await s.button("first.do").click();
  await s.flash("first.done");
  await s.see("overview-empty");
}

export async function signIn(s) {
  await s.button("signout").click();
  await s.title("signin.title");
  await s.input("User").fill("admin");
  await s.input("Password").fill("not this one");
  await s.button("signin.do").click();
  await s.says(s.t("signin.wrong"));
  await s.see("sign-in");
  await s.input("Password").fill(password);
  await s.button("signin.do").click();
  await s.title("nav.overview");
}

export async function otherLanguage(s) {
  const other = s.language === "en" ? "zh-CN" : "en";
  await s.page.locator(`a[hreflang="${other}"]`).click();
  await s.page.locator(`html[lang="${other}"]`).waitFor();
  await s.page.locator(`a[hreflang="${s.language}"]`).click();
  await s.page.locator(`html[lang="${s.language}"]`).waitFor();
  for (const theme of ["dark", "auto"]) {
    await s.button(`theme.${theme}`).click();
    await s.page.locator(`html[data-theme="${theme}"]`).waitFor();
  }
}

export async function product(s, w) {
  await s.menu("nav.products");
  await s.see("products-empty");
  await s.link("product.new").first().click();
  await s.title("product.new");
  await s.input("Name").fill(names[s.language].product);
  await s.choose("NodeType", "0");
  await s.input("Desc").fill(names[s.language].desc);
  await s.see("product-new");
  await s.button("confirm").click();
  await s.flash("product.made", { name: names[s.language].product });
  await s.see("product");
  w.product = s.id();
  await s.cloudSays("QueryProduct", { ProductKey: w.product }, { ProductName: names[s.language].product, NodeType: 0, Description: names[s.language].desc });
}

export async function devices(s, w) {
  await s.menu("nav.devices");
  await s.see("devices-empty");
  await s.link("device.new").first().click();
  await s.title("device.new");
  await s.input("List").setInputFiles(list(["good-1", "no good name!", "good-2", "good-1"]));
  await s.button("confirm").click();
  await s.page.locator("[role=alert]").first().waitFor();
  for (const row of [3, 5]) await s.contains(s.t("list.row", { row, text: "" }).trim());
  await s.is("devices after a wrong list", (await s.cloud.api("QueryDevice", { ProductKey: w.product })).Total, 0);
  await s.see("devices-new-wrong-row");
  await s.input("Names").fill(all.join("\n"));
  await s.button("confirm").click();
  await s.flash("device.made", { n: all.length });
  await s.see("devices-registered");
  const download = s.page.waitForEvent("download");
  await s.link("export").click();
  w.secrets = secretsOf(readFileSync(await (await download).path(), "utf8"));
  for (const d of (await s.cloud.api("QueryDevice", { ProductKey: w.product, PageSize: 50 })).Data.DeviceInfo) await s.is(`the exported secret of ${d.DeviceName}`, w.secrets[d.DeviceName], d.DeviceSecret);
  const first = [bench, ...sound].filter((name) => name !== checking);
  for (const name of first) run(s, w, name);
  await online(s, first, "1.0.0");
  await s.see("devices-online");
}

// list is a CSV file of devices as the template wants it.
export function list(rows) {
  return { name: "devices.csv", mimeType: "text/csv", buffer: Buffer.from(["DeviceName", ...rows, ""].join("\r\n")) };
}

// secretsOf reads the exported list by its header.
export function secretsOf(csv) {
  const [header, ...rows] = csv.replace(/^\uFEFF/, "").trim().split(/\r?\n/).map((line) => line.split(","));
  const at = (name) => header.findIndex((h) => h.toLowerCase().replaceAll("_", "") === name);
  return Object.fromEntries(rows.map((row) => [row[at("devicename")], row[at("devicesecret")]]));
}

// run starts a device's agent. One that starts after the public key was copied has it.
export function run(s, w, name) {
  const settings = name === slow ? { download: 'rate_limit = "50KiB"' } : failing[name]?.settings;
  s.cloud.device({ product: w.product, name, secret: w.secrets[name], image: image("1.0.0", 60_000), settings: { key: w.publicKey, ...settings } });
}

export async function more(s, w, list) {
  for (const name of list) run(s, w, name);
  await s.menu("nav.devices");
  await online(s, list, "1.0.0");
}

// online waits until the list, which is live, shows devices online with their version.
export async function online(s, list, version) {
  for (const name of list) await s.live(s.row(name).filter({ hasText: s.t("device.ONLINE") }).filter({ hasText: version }), `${name} online with ${version}`);
}
