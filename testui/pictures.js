// node testui/pictures.js: the best pictures of the last play, with 256 colours, for docs/console.md.
// Wants a Node with zlib.crc32: 20.15 or 22.2 and newer.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, deflateSync, inflateSync } from "node:zlib";

const from = new URL("../build/test-ui/", import.meta.url).pathname;
const to = new URL("../docs/console/", import.meta.url).pathname;
// best says of each picture its language and name, and after how many pixels a long one is cut off.
const best = {
  "devices.png": ["en", "devices-online-light-1280"],
  "timeline.png": ["en", "timeline-light-1280"],
  "secure-upgrade.png": ["zh-CN", "secure-upgrade-on-light-1280"],
  "module.png": ["zh-CN", "module-new-wrong-light-1280"],
  "package-form.png": ["en", "package-new-diff-wrong-light-1280"],
  "package.png": ["zh-CN", "package-new-light-1280"],
  "verify.png": ["en", "verify-light-1280"],
  "batch-form.png": ["en", "batch-form-many-light-1280", 1250],
  "batch.png": ["en", "batch-partly-failed-light-1280"],
  "batch-many.png": ["en", "batch-many-partly-failed-light-1280", 1150],
  "batch-paused.png": ["en", "batch-paused-itself-light-1280", 900],
  "batch-dark.png": ["zh-CN", "batch-partly-failed-dark-1280"],
  "batch-phone.png": ["en", "batch-one-failure-dark-400"],
  "cancel.png": ["en", "cancel-all-light-1280"],
  "statistics.png": ["zh-CN", "statistics-many-dark-1280"],
  "audit.png": ["en", "audit-light-1280", 900],
};

// pixels reads what chromium writes: 8 bits, RGB or RGBA, not interlaced.
function pixels(png) {
  const parts = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const width = png.readUInt32BE(16), height = png.readUInt32BE(20), n = png[25] === 6 ? 4 : 3;
  const raw = inflateSync(Buffer.concat(parts)), row = width * n;
  const out = Buffer.alloc(row * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (row + 1)];
    for (let x = 0; x < row; x++) {
      const left = x < n ? 0 : out[y * row + x - n], up = y ? out[(y - 1) * row + x] : 0, corner = y && x >= n ? out[(y - 1) * row + x - n] : 0;
      const p = left + up - corner, [a, b, c] = [Math.abs(p - left), Math.abs(p - up), Math.abs(p - corner)];
      const guess = [0, left, up, (left + up) >> 1, a <= b && a <= c ? left : b <= c ? up : corner][filter];
      out[y * row + x] = raw[y * (row + 1) + 1 + x] + guess;
    }
  }
  const colours = new Uint32Array(width * height);
  for (let i = 0; i < colours.length; i++) colours[i] = (out[i * n] << 16) | (out[i * n + 1] << 8) | out[i * n + 2];
  return { width, height, colours };
}

// fewer writes a picture with its 256 most frequent colours, the others as the nearest of them.
function fewer({ width, height, colours }) {
  const count = new Map();
  for (const c of colours) count.set(c, (count.get(c) ?? 0) + 1);
  const palette = [...count].sort((a, b) => b[1] - a[1]).slice(0, 256).map(([c]) => c);
  const apart = (a, b) => ((a >> 16) - (b >> 16)) ** 2 + (((a >> 8) & 255) - ((b >> 8) & 255)) ** 2 + ((a & 255) - (b & 255)) ** 2;
  const index = new Map([...count.keys()].map((c) => [c, palette.reduce((best, p, i) => (apart(c, p) < apart(c, palette[best]) ? i : best), 0)]));
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = index.get(colours[y * width + x]);
  const head = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 3, 0, 0, 0]);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  return Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), chunk("IHDR", head),
    chunk("PLTE", Buffer.from(palette.flatMap((c) => [c >> 16, (c >> 8) & 255, c & 255]))), chunk("IDAT", deflateSync(rows, { level: 9 })), chunk("IEND", Buffer.alloc(0))]);
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

mkdirSync(to, { recursive: true });
for (const [name, [language, picture, most = Infinity]] of Object.entries(best)) {
  const file = readdirSync(join(from, language)).find((f) => f.endsWith(`-${picture}.png`));
  if (!file) throw new Error(`there is no picture ${picture} in ${language}: run make test-ui first`);
  const whole = pixels(readFileSync(join(from, language, file)));
  const small = fewer({ ...whole, height: Math.min(whole.height, most) });
  writeFileSync(join(to, name), small);
  console.log(`${name}: ${small.length} bytes`);
}
