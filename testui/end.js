// What is there to look at when the devices are upgraded, and who may.
import { bench, names, password } from "./names.js";

export async function lists(s, w) {
  await s.menu("nav.batches");
  await s.title("nav.batches");
  await s.see("batches");
  await s.page.locator("#status").selectOption("CANCELED");
  await s.page.waitForURL(/status=CANCELED/);
  await s.see("batches-cancelled");
  await s.menu("nav.ota");
  await s.see("packages");
  await s.go(`packages/${w.broken}`);
  await s.see("package-with-batches");
  await s.go(`devices/${w.product}/${bench}`);
  await s.heading(bench);
  await s.see("device");
  await s.menu("nav.overview");
  await s.see("overview");
}

export async function statistics(s) {
  await s.menu("nav.ota");
  await s.link("versions.title").click();
  await s.page.getByRole("cell", { name: "3.0.0" }).first().waitFor();
  await s.see("statistics");
}

export async function groups(s) {
  await s.menu("nav.groups");
  await s.see("groups-empty");
  await s.input("Name").fill(names[s.language].group);
  await s.button("confirm").click();
  await s.flash("group.made", { name: names[s.language].group });
  await s.input("Names").fill(bench);
  await s.button("confirm").click();
  await s.page.getByRole("link", { name: bench, exact: true }).waitFor();
  await s.see("group");
}

export async function audit(s) {
  await s.menu("nav.audit");
  await s.title("nav.audit");
  await s.page.getByRole("cell", { name: "CreateOTAStaticUpgradeJob", exact: true }).first().waitFor();
  await s.see("audit");
  await s.go("audit?action=nothing-of-this-name");
  await s.see("audit-none");
}

export async function settings(s) {
  await s.menu("nav.settings");
  await s.page.getByText(s.t("key.new"), { exact: true }).click();
  await s.input("ID").fill("play-2");
  await s.choose("Role", "read-only");
  await s.input("ID").press("Enter");
  await s.says(s.t("key.secret"));
  await s.see("settings-new-key");
  await s.page.getByText(s.t("user.new"), { exact: true }).click();
  await s.page.locator("#new-user").fill(names[s.language].viewer);
  await s.page.locator("#new-password").fill(password);
  await s.choose("Role", "viewer");
  await s.see("settings-new-user");
  await s.page.locator("#new-password").press("Enter");
  await s.flash("user.made", { name: names[s.language].viewer });
}

// A viewer sees everything of this, and can change nothing.
export async function viewer(s, w) {
  await s.link("password.title").click();
  await s.title("password.title");
  await s.see("password");
  await s.button("signout").click();
  await s.input("User").fill(names[s.language].viewer);
  await s.input("Password").fill(password);
  await s.button("signin.do").click();
  await s.title("nav.overview");
  await s.go(`packages/${w.firmware}`);
  await s.heading(names[s.language].firmware);
  if (await s.link("verify").count()) s.wrong("a viewer is offered a verification");
  await s.see("package-of-a-viewer");
  const answer = await s.go("audit");
  if (answer.status() !== 403) s.wrong(`a viewer gets ${answer.status()} for the audit log`);
  await s.see("refused");
}
