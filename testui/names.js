// What the user of each language calls things.
export const names = {
  en: { product: "Street lamp", firmware: "Lamp-firmware-2", patch: "Lamp-patch-2_1", broken: "Lamp-firmware-3", driver: "LED driver",
    desc: "Dims slowly, and counts its hours <b>well</b>", tag: "autumn", group: "lamps_north", viewer: "guest", operator: "keeper",
    many: "Harbour lights", pole: "Harbour-2", site: "north", bare: "Stairway lights" },
  "zh-CN": { product: "智能路灯", firmware: "路灯固件2", patch: "路灯差分2_1", broken: "路灯固件3", driver: "LED-driver",
    desc: "渐变调光，并统计点亮时长 <b>加粗</b>", tag: "秋季", group: "lamps_north", viewer: "guest", operator: "keeper",
    many: "港口灯", pole: "港口灯固件_2", site: "杭州 A 区", bare: "楼梯灯" },
};

export const password = "a lamp in every street";

// The devices: one to verify on, two that do as they are told, of which one checks the
// signatures of the secure upgrade, and four that fail with each of the codes.
export const bench = "bench-1";
export const checking = "lamp-1";
export const slow = "lamp-2"; // a thin line, so that there is a progress to see
export const sound = [checking, slow];
export const failing = {
  "mast-1": { code: "-1", settings: { health: [["sh", "-c", 'test "$(head -n 1 "$OTAD_SLOT_PATH")" = 1.0.0']] } },
  "mast-2": { code: "-2", settings: { download: 'retries = 0\nproxy = "http://127.0.0.1:1"' } },
  "mast-3": { code: "-3", settings: { trust: "manifest" } },
  "mast-4": { code: "-4", settings: { size: 65536 } },
};
export const all = [bench, ...sound, ...Object.keys(failing)];
