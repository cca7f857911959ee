// The source document, step by step.
import { names, bench, sound } from "./names.js";

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
  await s.see("secure-upgrade-on");
}

// 4. A module of one's own.
export async function module(s) {
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
  if (picture) await s.see(picture);
  return new URL(s.page.url()).pathname.split("/").pop();
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
  return new URL(s.page.url()).pathname.split("/").pop();
}

// state waits until the page, which is live, says how the batch is.
export async function state(s, key) {
  const there = s.page.locator("#live-states").getByText(s.t(key), { exact: true }).waitFor({ timeout: 120_000 });
  await Promise.race([there, s.cloud.broke]);
}

export async function goodBatch(s, id) {
  const name = await batch(s, id, async () => {
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
  if ((await row.count()) !== sound.length) s.wrong(`${await row.count()} devices succeeded, wanted are ${sound.length}`);
  return name;
}

// A dynamic batch of a patch: it goes on watching, and its strategy is cancelled (P55).
export async function dynamicBatch(s, id) {
  await batch(s, id, async () => {
    await s.choose("Selection", "DYNAMIC");
    await s.choose("Mode", "1");
    await s.input("TimeoutMinutes").fill("60");
  }, "batch-form-dynamic");
  const done = s.page.locator("#live-tasks").getByRole("row").filter({ hasText: s.t("task.SUCCEEDED") });
  await Promise.race([done.nth(sound.length - 1).waitFor({ timeout: 120_000 }), s.cloud.broke]);
  await s.see("batch-dynamic");
  await s.link("cancel").click();
  await s.title("cancel.title");
  await s.see("cancel-dynamic");
  await s.button("cancel.do").click();
  await s.flash("cancel.done");
  await s.page.locator("#live-states").waitFor();
  if (await s.page.getByText(s.t("job.watching")).count()) s.wrong("the strategy goes on after it was cancelled");
}

// A scheduled batch, cancelled before its time (P54).
export async function scheduledBatch(s, id, devices) {
  const at = new Date(Date.now() + 3_600_000 - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  await batch(s, id, async () => {
    await s.choose("Selection", "STATIC");
    await s.choose("Target", "SPECIFIC");
    await s.input("Devices").fill(devices.join("\n"));
    await s.choose("When", "later");
    await s.input("Start").fill(at);
  }, "batch-form-scheduled");
  await state(s, "job.PLANNED");
  await s.see("batch-scheduled");
  await s.link("cancel").click();
  await s.title("cancel.title");
  await s.see("cancel-scheduled");
  await s.button("cancel.do").click();
  await s.flash("cancel.done");
  await s.page.locator("#live-tasks").getByText(s.t("task.CANCELED"), { exact: true }).first().waitFor();
  await s.see("batch-cancelled");
}

// A batch that succeeds on some devices and fails on others, with each of the codes.
export async function brokenBatch(s, id, failing) {
  await batch(s, id, async () => {
    await s.choose("Selection", "STATIC");
    await s.choose("Target", "GRAY");
    await s.input("Gray").fill("100");
    await s.input("TimeoutMinutes").fill("60");
  }, "batch-form-grey");
  await state(s, "job.COMPLETED");
  await s.page.reload();
  await s.see("batch-partly-failed");
  const failures = s.page.locator("#live-failures");
  for (const [name, { code }] of Object.entries(failing)) {
    const row = s.page.locator("#live-tasks").getByRole("row").filter({ has: s.page.getByRole("link", { name, exact: true }) });
    const text = await row.innerText();
    if (!text.includes(s.t(`failure.${code}`))) s.wrong(`${name} should have failed with ${code}: ${text}`);
    await failures.getByText(s.t(`failure.${code}`), { exact: true }).first().waitFor();
  }
  await failures.getByRole("link").first().click();
  await s.page.waitForURL(/status=FAILED/);
  if ((await s.page.locator("#live-tasks").getByRole("row").count()) !== 2) s.wrong("a failure does not open the one device behind it");
  await s.see("batch-one-failure");
}
