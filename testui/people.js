// Who may: a viewer looks, an operator works, an administrator has the say.
import { bench, names, password } from "./names.js";

async function as(s, user) {
  await s.button("signout").click();
  await s.title("signin.title");
  await s.input("User").fill(user);
  await s.input("Password").fill(password);
  await s.button("signin.do").click();
  await s.title("nav.overview");
}

// refused wants a 403 for what a role may not, whether it is asked for or sent.
async function refused(s, role, paths) {
  for (const path of paths) {
    const [method, where] = path.split(" ");
    const answer = await s.page.request.fetch(`${s.cloud.url}/console/${where}`, { method, maxRedirects: 0, ...(method === "POST" && { form: {} }) });
    await s.is(`what ${role} gets for ${path}`, answer.status(), 403);
  }
}

const orders = (w) => [
  `POST products/new`, `POST products/${w.product}/rules`, `POST devices/new`, `GET devices/export.csv?product=${w.product}`, `POST devices/${w.product}/${bench}/disable`,
  `POST devices/${w.product}/${bench}/delete`, `POST groups`, `POST modules/new`, `POST modules/${w.product}/driver/delete`, `GET packages/new`, `POST packages/new`,
  `POST packages/${w.firmware}`, `POST packages/${w.firmware}/delete`, `POST packages/${w.firmware}/verify`, `GET packages/${w.firmware}/batch`, `POST packages/${w.firmware}/batch`,
  `POST batches/${w.grey}/cancel`, `POST batches/${w.grey}/retry`, `POST batches/${w.grey}/rate`,
  `POST batches/${w.grey}/pause`, `POST batches/${w.grey}/resume`, `POST batches/${w.grey}/stop`, `POST batches/${w.grey}/confirm`, `POST versions/${w.product}/sample`,
];
const admins = (w) => [`POST security/${w.product}`, `POST products/${w.product}/delete`, "GET audit", "GET settings", "POST settings/keys", "POST settings/users", "POST settings/users/remove"];

export async function viewer(s, w) {
  await as(s, names[s.language].viewer);
  await s.is("what a viewer's navigation offers", [await s.nav().getByText(s.t("nav.audit")).count(), await s.nav().getByText(s.t("nav.settings")).count()], [0, 0]);
  for (const path of ["", "products", `products/${w.product}`, `devices?product=${w.product}`, `devices/${w.product}/${bench}`, "groups", "ota", `modules?product=${w.product}`, "security", `packages/${w.firmware}`, "batches", `batches/${w.grey}`]) {
    await s.go(path);
    const offered = await s.page.locator("main form[method=post]").locator("button:enabled, input:not([type=hidden]):enabled").allInnerTexts();
    await s.is(`what a viewer is offered on ${path || "the overview"}`, offered, []);
  }
  await s.go(`packages/${w.firmware}`);
  await s.heading(names[s.language].firmware);
  await s.see("package-of-a-viewer");
  await s.go(`devices/${w.product}/${bench}`);
  await s.is("secrets that a viewer sees", await s.page.getByText(s.t("device.secret"), { exact: true }).count(), 0);
  await refused(s, "a viewer", [...orders(w), ...admins(w)]);
  await s.go("audit");
  await s.says(s.t("error.role"));
  await s.see("refused");
}

export async function operator(s, w) {
  await as(s, names[s.language].operator);
  await s.go("security");
  await s.says(s.t("security.admin"));
  await s.is("switches that an operator is offered", await s.page.locator("main form[method=post]").count(), 0);
  await refused(s, "an operator", admins(w));
  await s.go(`devices/new?product=${w.product}`);
  await s.input("Names").fill("by-operator");
  await s.button("confirm").click();
  await s.flash("device.made", { n: 1 });
  await s.cloudSays("QueryDeviceDetail", { ProductKey: w.product, DeviceName: "by-operator" }, { Status: "UNACTIVE" });
  await s.go(`packages/${w.firmware}`);
  await s.link("batch.new").waitFor();
}

// An administrator has the say over all of it, and leaves its mark in the audit log.
export async function admin(s, w) {
  await as(s, "admin");
  await s.go(`products/${w.product}`);
  await s.page.getByText(s.t("product.delete"), { exact: true }).click();
  await s.button("delete").click();
  await s.page.locator("[role=alert]").waitFor();
  await s.see("product-not-deleted");
  await s.cloudSays("QueryProduct", { ProductKey: w.product }, { ProductName: names[s.language].product });
  await s.go("audit?action=RegisterDevice");
  await s.page.getByRole("row").filter({ hasText: names[s.language].operator }).first().waitFor();
  await s.see("audit-of-an-action");
}
