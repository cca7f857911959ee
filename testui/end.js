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

// The timeline has each message with what was in it, and no secret.
export async function timeline(s, w) {
  await s.go(`devices/${w.product}/mast-3`);
  await s.link("timeline.title").click();
  await s.title("timeline.title");
  for (const kind of ["connect", "inform", "notice", "progress", "task"]) await s.is(`a line of the kind ${kind}`, (await s.page.getByRole("cell", { name: s.t(`kind.${kind}`) }).count()) > 0, true);
  await s.see("timeline");
  await s.page.locator("#kind").selectOption("notice");
  await s.page.waitForURL(/kind=notice/);
  const notice = s.page.locator("details").first();
  await notice.locator("summary").click();
  const payload = JSON.parse(await notice.locator("pre").innerText());
  await s.is("the version of the notice", payload.data.version, "3.0.0");
  const text = await s.page.locator("main").innerText();
  await s.is("the device's secret in its timeline", text.includes(w.secrets["mast-3"]), false);
  await s.see("timeline-notice");
  await s.page.locator("#kind").selectOption("progress");
  await s.page.waitForURL(/kind=progress/);
  await s.contains("-3");
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
  await s.is("devices of the group", (await s.cloud.api("QueryDeviceListByDeviceGroup", { GroupId: s.id(), PageSize: 10, CurrentPage: 1 })).Data.SimpleDeviceInfo.map((d) => d.DeviceName), [bench]);
  await s.see("group");
}

export async function audit(s) {
  await s.menu("nav.audit");
  await s.title("nav.audit");
  await s.page.getByRole("cell", { name: "CreateOTAStaticUpgradeJob" }).first().waitFor();
  await s.see("audit");
  await s.go("audit?action=nothing-of-this-name");
  await s.see("audit-none");
}

export async function settings(s) {
  await s.menu("nav.settings");
  await s.page.getByText(s.t("key.new"), { exact: true }).click();
  await s.input("ID").fill("play-2");
  await s.choose("Role", "read-only"); // keys have that one, users have others
  await s.input("ID").press("Enter");
  await s.says(s.t("key.secret"));
  const key = await s.page.getByText(/^play-2:/).innerText();
  await s.is("the new key reads", (await s.cloud.api("QueryProductList", { PageSize: 10, CurrentPage: 1, "access-key": key })).Success, true);
  await s.see("settings-new-key");
  await s.page.getByText(s.t("user.new"), { exact: true }).click();
  await user(s, "viewer");
  await s.see("settings-new-user");
  await s.page.locator("#new-password").press("Enter");
  await s.flash("user.made", { name: names[s.language].viewer });
  await s.page.getByText(s.t("user.new"), { exact: true }).click();
  await user(s, "operator");
  await s.page.locator("#new-password").press("Enter");
  await s.flash("user.made", { name: names[s.language].operator });
}

async function user(s, role) {
  await s.page.locator("#new-user").fill(names[s.language][role]);
  await s.page.locator("#new-password").fill(password);
  await s.page.locator("form", { has: s.page.locator("#new-user") }).locator(`input[name="Role"][value="${role}"]`).check();
}

// Everybody can change the own password.
export async function ownPassword(s) {
  await s.link("password.title").click();
  await s.title("password.title");
  await s.input("Old").fill("not this one");
  await s.input("Password").fill(password);
  await s.button("save").click();
  await s.refuses("Old", s.t("password.old.wrong"));
  await s.see("password");
}
