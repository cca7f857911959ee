// A real otasim serve in a directory of its own, real devices beside it, and a browser.
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { chromium } from "playwright-core";

export const otasim = process.env.OTASIM ?? "bin/otasim";
const children = [];

function start(args, options) {
  const child = spawn(otasim, args, options);
  children.push(child);
  return child;
}

export async function serve(dir) {
  const child = start(["serve", "--data", path.join(dir, "data"), "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--access-key", "id:secret"],
    { stdio: ["ignore", "pipe", fs.openSync(path.join(dir, "serve.log"), "w")] });
  const at = {};
  for await (const line of readline.createInterface({ input: child.stdout })) {
    const [what, addr] = line.split(" ");
    at[what] = addr;
    if (what === "ready") return at;
  }
  throw new Error("the server did not come up: see " + dir + "/serve.log");
}

// Devices that do as a scenario says, until the test ends.
export function fleet(dir, mqtt, devices, scenario) {
  const log = fs.openSync(path.join(dir, scenario + ".log"), "w");
  start(["fleet", "--mqtt", "mqtt://" + mqtt, "--devices", devices, "--scenario", new URL(scenario + ".toml", import.meta.url).pathname, "--duration", "10m", "--ramp", "100/s"],
    { stdio: ["ignore", log, log] });
}

export const browser = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

export function end() {
  for (const child of children) child.kill("SIGTERM");
}
