// The source document, step by step.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { names, bench, failing, sound } from "./names.js";

// 3. Secure upgrade, with the public key to copy.
export async function secureUpgrade(s, w) {
  await s.menu("nav.ota");
  await s.see("packages-empty");
  await s.link("security.title").click();
  await s.title("security.title");
  await s.see("secure-upgrade-off");
  await s.page.getByRole("button", { name: s.t("security.on") }).click();
  await s.flash("security.set.true", { name: names[s.language].product });
  await s.page.getByRole("button", { name: new RegExp(`^${s.t("copy")}`) }).click();
  await s.page.getByRole("button", { name: s.t("copied"), exact: true }).waitFor();
  w.publicKey = await s.page.evaluate(() => navigator.clipboard.readText());
  if (w.publicKey !== (await s.page.locator(`#key-${w.product}`).innerText()).trim()) s.wrong(`the copied public key is not the one that is shown: ${w.publicKey}`);
  const said = await s.cloudSays("QueryProductOTASecurity", { ProductKey: w.product }, { Enable: true });
  await s.is("the copied public key", w.publicKey, said.PublicKey.trim());
  await s.see("secure-upgrade-on");
}

// 4. A module of one's own.
export async function module(s, w) {
  await s.menu("nav.ota");
  await s.link("modules.title").click();
  await s.see("modules");
  await s.link("module.new").click();
  await s.title("module.new");
  await s.input("Name").fill("no good name");
  await s.input("Alias").fill(names[s.language].driver.replace(" ", "-"));
  await s.input("Desc").fill(names[s.language].desc);
  await s.button("confirm").click();
  await s.page.locator("#in-Name[aria-invalid=true]").waitFor();
  await s.see("module-new-wrong");
  await s.input("Name").fill("driver");
  await s.button("confirm").click();
  await s.flash("module.made", { name: "driver" });
  const made = (await s.cloud.api("ListOTAModuleByProduct", { ProductKey: w.product })).Data.map((m) => [m.ModuleName, m.AliasName, m.Desc]);
  await s.is("modules of the product", made, [["default", "", ""], ["driver", names[s.language].driver.replace(" ", "-"), names[s.language].desc]]);
  await s.see("modules-two");
}

// 5 and 6. A package: the form, and the upload.
export async function addPackage(s, { name, file, version, source, picture }) {
  await s.menu("nav.ota");
  await s.link("package.new").first().click();
  await s.title("package.new");
  await s.choose("Diff", source ? "1" : "0");
  await s.input("Name").fill(name);
  if (source) await s.input("Source").fill(source);
  await s.choose("SignMethod", "SHA256");
  await s.input("Desc").fill(names[s.language].desc);
  await s.input("Files").setInputFiles(file);
  if (picture) {
    await s.input("Version").fill("no good version");
    await s.button("confirm").click();
    await s.page.locator("#in-Version[aria-invalid=true]").waitFor();
    await s.see(`${picture}-wrong`);
  }
  await s.input("Version").fill(version);
  await s.button("confirm").click();
  await s.flash("package.made", { name });
  const bytes = readFileSync(file), id = s.id();
  await s.cloudSays("QueryOTAFirmware", { FirmwareId: id }, {
    FirmwareName: name, DestVersion: version, SrcVersion: source ?? "", Type: source ? 1 : 0, ModuleName: "default", Status: 0, FirmwareDesc: names[s.language].desc,
    FirmwareSize: bytes.length, SignMethod: "SHA256", FirmwareSign: createHash("sha256").update(bytes).digest("hex"),
  });
  await s.contains(createHash("md5").update(bytes).digest("hex"), createHash("sha256").update(bytes).digest("hex"), s.t("package.unverified"));
  if (picture) await s.see(picture);
  return id;
}

// A diff package that the server makes of two full ones.
export async function patchByServer(s, id) {
  await s.go(`packages/${id}`);
  await s.page.getByText(s.t("patch"), { exact: true }).click();
  await s.page.getByLabel(s.t("patch.name"), { exact: true }).fill("patch-by-server");
  await s.see("patch-form");
  await s.button("patch.make").click();
  await s.heading("patch-by-server");
  await s.page.getByText("2.0.0 → 3.0.0").first().waitFor();
  const made = await s.cloudSays("QueryOTAFirmware", { FirmwareId: s.id() }, { FirmwareName: "patch-by-server", SrcVersion: "2.0.0", DestVersion: "3.0.0", Type: 1, Status: 0 });
  if (made.FirmwareSize > 20_000) s.wrong(`the patch that the server made has ${made.FirmwareSize} bytes`);
  await s.see("patch-made");
}

// 7. A package is verified on a device.
export async function verify(s, id, picture) {
  await s.go(`packages/${id}`);
  await s.link("verify").click();
  await s.title("verify.title");
  await s.choose("Devices", bench);
  await s.input("TimeoutMinutes").fill("10");
  if (picture) await s.see(picture);
  await s.button("confirm").click();
  await s.flash("verify.made");
  await s.go(`packages/${id}`);
  await s.until(s.page.getByText(s.t("package.status.1"), { exact: true }), `the verification of ${id}`);
  await s.cloudSays("QueryOTAFirmware", { FirmwareId: id }, { Status: 1 });
}

// 8. The form of a batch. fill does what is particular to it.
export async function batch(s, id, fill, picture) {
  await s.go(`packages/${id}`);
  await s.link("batch.new").click();
  await s.title("batch.new");
  await fill();
  if (picture) {
    await s.button("preview.do").click();
    await s.page.locator("#preview .figure").waitFor();
    await s.see(picture);
  }
  await s.button("batch.make").click();
  await s.page.waitForURL(/\/console\/batches\//);
  return s.id();
}

// state waits until the page, which is live, says how the batch is.
export async function state(s, key) {
  await s.live(s.page.locator("#live-states .pill", { hasText: s.t(key) }), s.t(key));
}

export async function goodBatch(s, id) {
  const job = await batch(s, id, async () => {
    await s.choose("Selection", "STATIC");
    await s.choose("Sources", "1.0.0");
    await s.choose("Target", "ALL");
    await s.input("MaximumPerMinute").fill("60");
    await s.input("Retry").selectOption("10");
    await s.input("RetryCount").selectOption("2");
    await s.input("TimeoutMinutes").fill("60");
    await s.page.locator("input[name=TagKey]").first().fill("season");
    await s.page.locator("input[name=TagValue]").first().fill(names[s.language].tag);
    await s.input("Desc").fill(names[s.language].desc);
  }, "batch-form");
  await state(s, "job.COMPLETED");
  await s.page.reload();
  await s.see("batch-succeeded");
  const row = s.page.getByRole("region", { name: s.t("device.list") }).getByRole("row").filter({ hasText: s.t("task.SUCCEEDED") });
  await s.is("devices that the page says have succeeded", await row.count(), sound.length);
  const made = await s.cloudSays("QueryOTAJob", { JobId: job }, {
    JobStatus: "COMPLETED", SelectionType: "STATIC", TargetSelection: "ALL", JobDesc: names[s.language].desc, MaximumPerMinute: 60, RetryInterval: 10, RetryCount: 2, TimeoutInMinutes: 60, OverwriteMode: 1,
  });
  await s.is("the batch's source versions", made.SrcVersions.SrcVersion, ["1.0.0"]);
  await s.is("the batch's tags", made.Tags.OtaTagDTO, [{ Key: "season", Value: names[s.language].tag }]);
  await s.tasks(job, { SUCCEEDED: sound.length, FAILED: 0 });
}

// A dynamic batch of a patch: it goes on watching, and its strategy is cancelled (P55).
export async function dynamicBatch(s, id) {
  const job = await batch(s, id, async () => {
    await s.choose("Selection", "DYNAMIC");
    await s.choose("Mode", "1");
    await s.input("TimeoutMinutes").fill("60");
  }, "batch-form-dynamic");
  const done = s.page.locator("#live-tasks").getByRole("row").filter({ hasText: s.t("task.SUCCEEDED") });
  await s.live(done.nth(sound.length - 1), "the last device's success");
  await s.cloudSays("QueryOTAJob", { JobId: job }, { JobStatus: "IN_PROGRESS", SelectionType: "DYNAMIC", DynamicMode: 1 });
  await s.see("batch-dynamic");
  await s.link("cancel").click();
  await s.title("cancel.title");
  await s.see("cancel-dynamic");
  await s.button("cancel.do").click();
  await s.flash("cancel.done");
  await s.page.locator("#live-states").waitFor();
  await s.is("strategies that go on", await s.page.getByText(s.t("job.watching")).count(), 0);
  await s.tasks(job, { SUCCEEDED: sound.length, CANCELED: 0 });
}

// A scheduled batch, cancelled before its time (P54).
export async function scheduledBatch(s, id) {
  const devices = Object.keys(failing);
  const begin = Date.now() + 3_600_000;
  const at = new Date(begin + s.zone * 3_600_000).toISOString().slice(0, 16); // as the browser's zone has it
  const job = await batch(s, id, async () => {
    await s.choose("Selection", "STATIC");
    await s.choose("Target", "SPECIFIC");
    await s.input("Find").fill("mast");
    await s.button("pick.find").click();
    await s.button("pick.all", { n: devices.length }).click();
    await s.page.locator("#in-Devices", { hasText: devices.at(-1) }).waitFor();
    await s.is("devices picked from the list", (await s.input("Devices").inputValue()).trim().split("\n").sort(), devices);
    await s.choose("When", "later");
    await s.input("Start").fill(at);
    await s.choose("Rate", "growing");
    await s.input("Base").fill("10");
    await s.input("Factor").fill("2");
    await s.input("Notified").fill("5");
  }, "batch-form-scheduled");
  await state(s, "job.PLANNED");
  const planned = await s.cloudSays("QueryOTAJob", { JobId: job }, {
    JobStatus: "PLANNED", TargetSelection: "SPECIFIC", BaseRatePerMinute: 10, IncrementFactor: "2", NumberOfNotifiedDevices: 5,
  });
  await s.is("the start", Date.parse(planned.UtcScheduleTime), Math.floor(begin / 60_000) * 60_000);
  await s.contains(...devices);
  await s.see("batch-scheduled");
  await s.link("cancel").click();
  await s.title("cancel.title");
  await s.see("cancel-scheduled");
  await s.button("cancel.do").click();
  await s.flash("cancel.done");
  await s.page.locator("#live-tasks").getByText(s.t("task.CANCELED"), { exact: true }).first().waitFor();
  await s.cloudSays("QueryOTAJob", { JobId: job }, { JobStatus: "CANCELED" });
  await s.tasks(job, { CANCELED: devices.length });
  await s.see("batch-cancelled");
}

// A batch that succeeds on some devices and fails on others, with each of the codes.
export async function brokenBatch(s, id) {
  const job = await batch(s, id, async () => {
    await s.choose("Selection", "STATIC");
    await s.choose("Target", "GRAY");
    await s.input("Gray").fill("100");
    await s.input("TimeoutMinutes").fill("60");
  }, "batch-form-grey");
  await state(s, "job.COMPLETED");
  await s.page.reload();
  await s.see("batch-partly-failed");
  await s.cloudSays("QueryOTAJob", { JobId: job }, { TargetSelection: "GRAY", GrayPercent: "100" });
  await s.tasks(job, { SUCCEEDED: sound.length, FAILED: Object.keys(failing).length });
  const failures = s.page.locator("#live-failures");
  const told = (await s.cloud.api("ListOTATaskByJob", { JobId: job, TaskStatus: "FAILED", PageSize: 50, CurrentPage: 1 })).Data.SimpleOTATaskInfo;
  for (const [name, { code }] of Object.entries(failing)) {
    const reason = told.find((d) => d.DeviceName === name)?.TaskDesc;
    await s.is(`the code of ${name}`, reason?.split(":")[0], code);
    await s.is(`the page says how ${name} failed`, (await s.row(name).innerText()).includes(s.t(`failure.${code}`)), true);
    await failures.getByText(s.t(`failure.${code}`), { exact: true }).first().waitFor();
  }
  await failures.getByRole("link").first().click();
  await s.page.waitForURL(/status=FAILED/);
  await s.is("devices behind a failure", await s.page.locator("#live-tasks tbody tr").count(), 1);
  await s.see("batch-one-failure");
}
