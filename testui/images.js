// The images that are sent about: a version in the first line, and something to carry.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

// image gives the same bytes for the same version, and little that differs between two.
export function image(version, size = 200_000) {
  const head = Buffer.from(`${version}\n`);
  const body = Buffer.alloc(size - head.length);
  for (let at = 0, i = 0; at < body.length; at += 32, i++) {
    createHash("sha256").update(i % 50 ? `block ${i}` : `${version} ${i}`).digest().copy(body, at);
  }
  return Buffer.concat([head, body]);
}

export function makeImages(dir) {
  const file = (name, bytes) => (writeFileSync(join(dir, name), bytes), join(dir, name));
  const full2 = file("lamp-2.0.0.bin", image("2.0.0"));
  const full3 = file("lamp-3.0.0.bin", image("3.0.0"));
  const full21 = file("lamp-2.1.0.img", image("2.1.0"));
  const diff = join(dir, "lamp-2.0.0-2.1.0.bin");
  execFileSync(new URL("../bin/otapack", import.meta.url).pathname, ["diff", full2, full21, diff], { stdio: "ignore" });
  return { full2, full3, diff };
}
