// What wants more devices than agents can be run: lists of several pages, groups, picks and
// files, rates, and failures of every kind. The devices are played by otasim fleet.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { list } from "./begin.js";
import { batch, state } from "./document.js";
import { image } from "./images.js";
import { names } from "./names.js";

const total = 150;
const known = 10; // the first ones do as they are told; of the others most do
const pole = (n) => `pole-${String(n).padStart(3, "0")}`;
const poles = (from, to) => Array.from({ length: to - from }, (_, i) => pole(from + i));

export async function devices(s, w) {
  w.many = (await s.cloud.api("CreateProduct", { ProductName: names[s.language].many })).Data.ProductKey;
  await s.go(`devices/new?product=${w.many}`);
  const template = s.page.waitForEvent("download");
  await s.link("template").click();
  await s.is("the template's header", readFileSync(await (await template).path(), "utf8").replace(/^\uFEFF/, "").split(/\r?\n/)[0], "DeviceName");
  await s.input("List").setInputFiles(list(poles(0, total)));
  await s.button("confirm").click();
  await s.flash("device.made", { n: total });
  await s.is("registered devices", (await s.cloud.api("QueryDevice", { ProductKey: w.many })).Total, total);
  const download = s.page.waitForEvent("download");
  await s.link("export").click();
  const [header, ...rows] = readFileSync(await (await download).path(), "utf8").trim().split("\n");
  s.cloud.fleet("known", [header, ...rows.slice(0, known), ""].join("\n"), "good");
  s.cloud.fleet("mixed", [header, ...rows.slice(known), ""].join("\n"), "mixed");
}

export async function lists(s, w) {
  await s.go(`versions?product=${w.many}`);
  await s.until(s.page.getByText(s.t("versions.reported", { n: total, all: total })), `${total} devices with a version`);
  await s.button("versions.sample").click();
  await s.flash("versions.sampled");
  await s.go(`devices?product=${w.many}`);
  const shown = s.page.locator("main tbody tr"), size = await shown.count();
  await s.contains(s.t("pager", { from: 1, to: size, total }));
  await s.see("devices-many");
  await s.link("next").click();
  await s.page.waitForURL(/page=2/);
  await s.contains(s.t("pager", { from: size + 1, to: 2 * size, total }));
  await s.page.locator("#prefix").fill("pole-01");
  await s.button("filter").click();
  await s.page.waitForURL(/prefix=pole-01/);
  await s.is("devices whose names begin with pole-01", await shown.count(), 10);
  await s.page.locator("#prefix").fill("none");
  await s.button("filter").click();
  await s.says(s.t("devices.nomatch"));
  await s.see("devices-none-like-that");
}

// A package, tried on devices that are picked from a list.
export async function pack(s, w) {
  const file = join(s.cloud.dir, "pole-2.0.0.bin");
  writeFileSync(file, image("pole 2.0.0", 120_000));
  const { FirmwareUrl } = (await s.cloud.api("GenerateOTAUploadURL", { file })).Data;
  w.pole = (await s.cloud.api("CreateOTAFirmware", { ProductKey: w.many, FirmwareName: names[s.language].pole, DestVersion: "2.0.0", FirmwareUrl })).Data.FirmwareId;
  await s.go(`packages/${w.pole}/verify`);
  for (const name of poles(0, 2)) await s.choose("Devices", name);
  await s.see("verify-picked");
  await s.button("confirm").click();
  await s.page.waitForURL(/batches/);
  await state(s, "job.COMPLETED");
  await s.tasks(s.id(), { SUCCEEDED: 2 });
  await s.see("verification");
}

// ends waits for the end of a batch, and holds the page's counts against the cloud's.
async function ends(s, job, key = "job.COMPLETED") {
  await state(s, key);
  await s.page.reload();
  for (const status of ["SUCCEEDED", "FAILED", "CANCELED"]) {
    const shown = await s.page.locator(`#live-states a[href*="status=${status}"] b`).innerText();
    await s.is(`devices that are ${status} on the page`, shown, String(await s.cloud.count(job, status)));
  }
}

export async function group(s, w) {
  await s.menu("nav.groups");
  await s.input("Name").fill("poles_north");
  await s.button("confirm").click();
  await s.flash("group.made", { name: "poles_north" });
  await s.input("Product").selectOption(w.many);
  await s.input("Names").fill(poles(2, 6).join("\n"));
  await s.button("confirm").click();
  await s.page.getByRole("link", { name: pole(5), exact: true }).waitFor();
  const id = s.id();
  const job = await batch(s, w.pole, async () => {
    await s.choose("Target", "GROUP");
    await s.input("Group").selectOption(id);
    await s.page.locator("#preview .figure").filter({ hasText: /^4$/ }).waitFor();
  }, "batch-form-group");
  await ends(s, job);
  await s.cloudSays("QueryOTAJob", { JobId: job }, { TargetSelection: "GROUP", GroupId: id, GroupName: "poles_north" });
  await s.tasks(job, { SUCCEEDED: 4 });
  await s.contains("poles_north");
}

// A list of devices in a file, once with wrong rows, once right. They get the package over MQTT
// when somebody has confirmed it.
export async function file(s, w) {
  const job = await batch(s, w.pole, async () => {
    await s.choose("Target", "SPECIFIC");
    await s.input("List").setInputFiles(list([pole(6), "no such name!", pole(6), "pole-999"]));
    await s.button("batch.make").click();
    await s.page.locator("[role=alert]").first().waitFor();
    await s.contains(s.t("list.row", { row: 3, text: "" }).trim());
    await s.see("batch-form-wrong-list");
    await s.input("List").setInputFiles(list(poles(6, known)));
    await s.choose("DownloadProtocol", "MQTT");
    await s.choose("NeedConfirm", "1");
  });
  await s.tasks(job, { CONFIRM: known - 6, QUEUED: 0 });
  await s.see("batch-to-confirm");
  await s.button("confirm.do").click();
  await s.flash("confirm.done", { n: known - 6 });
  await ends(s, job);
  await s.cloudSays("QueryOTAJob", { JobId: job }, { TargetSelection: "SPECIFIC", DownloadProtocol: "MQTT", NeedConfirm: true });
  await s.tasks(job, { SUCCEEDED: known - 6, FAILED: 0 });
}

// A part of all devices. The preview says what the batch then does.
export async function grey(s, w) {
  const left = total - known, part = Math.floor(left * 0.8);
  w.grey = await batch(s, w.pole, async () => {
    await s.choose("Target", "GRAY");
    await s.input("Gray").fill("101");
    await s.page.locator("#preview .err").waitFor();
    await s.input("Gray").fill("80");
    await s.page.locator("#preview .figure").filter({ hasText: new RegExp(`^${part}$`) }).waitFor();
    await s.input("MaximumPerMinute").fill("1000");
    await s.page.locator("input[name=TagKey]").first().fill("site");
    await s.page.locator("input[name=TagValue]").first().fill(names[s.language].site);
  }, "batch-form-many");
  await ends(s, w.grey);
  await s.is("devices of the grey batch", (await s.cloud.count(w.grey, "SUCCEEDED")) + (await s.cloud.count(w.grey, "FAILED")), part);
  for (const kind of ["-2", "-3", "-4", "version"]) await s.page.locator("#live-failures").getByText(s.t(`failure.${kind}`), { exact: true }).first().waitFor();
  await s.see("batch-many-partly-failed");
  const behind = s.page.locator("#live-failures td.num a").first();
  const n = parseInt(await behind.innerText(), 10);
  await behind.click();
  await s.page.waitForURL(/status=FAILED/);
  await s.is("devices behind a failure", await s.page.locator("#live-tasks tbody tr").count(), n);
}

// What failed is started anew: some devices fail only once.
export async function retry(s, w) {
  await s.go(`batches/${w.grey}`);
  const failed = await s.cloud.count(w.grey, "FAILED"), succeeded = await s.cloud.count(w.grey, "SUCCEEDED");
  await s.button("retry").click();
  await s.flash("retry.done", { n: failed });
  await ends(s, w.grey);
  const still = await s.cloud.count(w.grey, "FAILED");
  await s.is("some succeed the second time, others do not", still > 0 && still < failed, true);
  await s.is("what failed and succeeded in all", still + (await s.cloud.count(w.grey, "SUCCEEDED")), failed + succeeded);
}

// A clone begins as the batch was made. It is pushed slowly, rests, and goes on quicker.
export async function cloneAndRest(s, w) {
  await s.go(`batches/${w.grey}`);
  await s.link("clone").click();
  await s.title("batch.new");
  await s.is("the clone's range", await s.page.locator("input[name=Target]:checked").inputValue(), "GRAY");
  await s.is("the clone's percentage", await s.input("Gray").inputValue(), "80");
  await s.is("the clone's rate", await s.input("MaximumPerMinute").inputValue(), "1000");
  await s.is("the clone's tag", await s.page.locator("input[name=TagValue]").first().inputValue(), names[s.language].site);
  await s.input("Gray").fill("100");
  await s.input("MaximumPerMinute").fill("10");
  const matching = s.page.locator("#preview dl").first().locator("dd").first();
  await s.page.locator("#preview .figure").filter({ hasText: new RegExp(`^${await matching.innerText()}$`) }).waitFor();
  await s.see("batch-form-clone");
  await s.button("batch.make").click();
  await s.page.waitForURL(/\/console\/batches\//);
  const job = s.id();
  await s.live(s.page.locator("#live-states .pill", { hasText: s.t("job.IN_PROGRESS") }), "the progress");
  await s.is("devices that wait for the rate", (await s.cloud.count(job, "QUEUED")) > 10, true);
  await s.see("batch-slow");
  await pauseAndResume(s, job);
  await ends(s, job);
  await s.is("devices that wait", await s.cloud.count(job, "QUEUED"), 0);
}

// rate changes how many devices a minute get the notice.
async function rate(s, job, n) {
  await s.go(`batches/${job}`);
  await s.page.getByText(s.t("batch.rate.change"), { exact: true }).click();
  await s.page.locator("#in-MaximumPerMinute").fill(String(n));
  await s.page.locator("#in-MaximumPerMinute").press("Enter");
}

// While a batch rests nothing is pushed, however high the rate is.
async function pauseAndResume(s, job) {
  await rate(s, job, 5);
  await s.page.locator("[role=alert], [aria-invalid=true]").first().waitFor();
  await s.cloudSays("QueryOTAJob", { JobId: job }, { MaximumPerMinute: 10 });
  await s.go(`batches/${job}`);
  await s.link("pause").click();
  await s.title("pause.title");
  await s.see("pause");
  await s.button("pause.do").click();
  await s.flash("pause.done");
  await s.contains(s.t("job.paused"), s.t("pause.user"));
  const waiting = await s.cloud.count(job, "QUEUED");
  await rate(s, job, 1000);
  await s.flash("saved");
  await s.cloudSays("QueryOTAJob", { JobId: job }, { MaximumPerMinute: 1000 });
  await s.go(`batches/${job}?status=QUEUED`);
  await s.contains(s.t("job.paused"));
  await s.see("batch-paused");
  await s.is("devices that wait while the batch rests", await s.cloud.count(job, "QUEUED"), waiting);
  await s.go(`batches/${job}`);
  await s.link("resume").click();
  await s.title("resume.title");
  await s.see("resume");
  await s.button("resume.do").click();
  await s.flash("resume.done");
}

// A batch of the devices that never succeed pauses by itself. It is cancelled with every
// unfinished task (P54), and so is a strategy (P55).
export async function cancelAll(s, w) {
  const job = await batch(s, w.pole, async () => {
    await s.input("MaximumPerMinute").fill("100");
    await s.input("StopPercent").fill("100");
    await s.button("batch.make").click();
    await s.page.locator("#in-StopPercent[aria-invalid=true]").waitFor();
    await s.input("StopPercent").fill("30");
    await s.input("StopLeast").fill("5");
  });
  await s.live(s.page.locator("#live-states").getByText(s.t("job.paused"), { exact: true }), "the pause by itself");
  await s.says(new RegExp(s.t("pause.failures", { failed: "NUMBER", ended: "NUMBER" }).replaceAll("NUMBER", "\\d+")));
  await s.is("devices that wait when the batch has paused itself", (await s.cloud.count(job, "QUEUED")) > 0, true);
  await s.see("batch-paused-itself");
  await s.link("cancel").click();
  await s.title("cancel.title");
  await s.choose("What", "all");
  await s.see("cancel-all");
  await s.button("cancel.do").click();
  await s.flash("cancel.done");
  await s.tasks(job, { QUEUED: 0, NOTIFIED: 0, IN_PROGRESS: 0 });
  await s.is("devices that were cancelled", (await s.cloud.count(job, "CANCELED")) > 0, true);
  const dynamic = await batch(s, w.pole, async () => {
    await s.choose("Selection", "DYNAMIC");
    await s.input("OtherSources").fill("0.9.0");
  });
  await s.contains(s.t("job.watching"), s.t("tasks.waiting"));
  await s.see("batch-dynamic-waiting");
  await s.link("cancel").click();
  await s.choose("What", "all");
  await s.button("cancel.do").click();
  await s.flash("cancel.done");
  await s.is("the strategy goes on", await s.page.getByText(s.t("job.watching")).count(), 0);
  await s.is("a strategy that was cancelled is over", (await s.cloud.api("QueryOTAJob", { JobId: dynamic })).Data.JobStatus !== "IN_PROGRESS", true);
}

// The shares of versions are those that the cloud knows, and so is the newest moment over time.
export async function statistics(s, w) {
  await s.go(`versions?product=${w.many}`);
  await s.button("versions.sample").click();
  await s.flash("versions.sampled");
  const said = (await s.cloud.api("QueryProductOTAVersions", { ProductKey: w.many, ModuleName: "default" })).Data;
  await s.is("versions that the cloud knows", JSON.stringify(said).includes("2.0.0"), true);
  const numbers = async (table, row) => (await table.locator("tbody tr").nth(row).locator("td.num").allTextContents()).map((n) => parseInt(n.replaceAll(",", ""), 10));
  const share = s.page.getByRole("region", { name: "default", exact: true }).getByRole("row").filter({ hasText: /^\s*2\.0\.0/ });
  const now = parseInt(await share.locator("td.num").first().innerText(), 10);
  const over = s.page.locator(`section[aria-label="${s.t("versions.over")}: default"] table`).last();
  const heads = await over.locator("thead th.num").allTextContents(), newest = await numbers(over, 0);
  await s.is("devices of the newest moment", newest.reduce((a, b) => a + b, 0), total);
  await s.is("devices of 2.0.0 at the newest moment", newest[heads.indexOf("2.0.0")], now);
  await s.see("statistics-many");
  await s.menu("nav.batches");
  await s.see("batches-many");
}
