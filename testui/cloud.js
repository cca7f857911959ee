// A real cloud and real agents, as processes of their own.
import { execFile, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, truncateSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { promisify } from "node:util";

const bin = new URL("../bin/", import.meta.url).pathname;
export const accessKey = "play:play-secret";

export class Cloud {
  #children = new Set();
  #stopped = false;
  #break;

  constructor(dir) {
    this.dir = dir;
    // broke is refused, and broken is why, as soon as a process ends that should not.
    this.broke = new Promise((_, no) => (this.#break = (e) => (this.broken ??= e, no(e))));
    this.broke.catch(() => {});
    mkdirSync(dir, { recursive: true });
  }

  #spawn(program, args, out, log) {
    const err = openSync(join(this.dir, log), "a");
    const child = spawn(join(bin, program), args, { stdio: ["ignore", out ?? err, err] });
    closeSync(err);
    this.#children.add(child);
    child.ended = new Promise((done) => {
      child.once("error", (e) => done(e.message));
      child.once("exit", (code, signal) => done(signal ?? code));
    }).then((how) => (this.#children.delete(child), how));
    return child;
  }

  // start returns when otasim has said where it is.
  async start() {
    const sim = this.#spawn("otasim", ["serve", "--data", join(this.dir, "cloud"), "--mqtt", "127.0.0.1:0",
      "--http", "127.0.0.1:0", "--connects-per-minute", "0", "--access-key", accessKey], "pipe", "otasim.log");
    sim.ended.then((how) => this.#stopped || this.#break(new Error(`otasim ended with ${how}: ${join(this.dir, "otasim.log")}`)));
    for await (const line of createInterface({ input: sim.stdout })) {
      const [name, value] = line.split(" ");
      if (name === "mqtt") this.mqtt = value;
      if (name === "http") this.url = `http://${value}`;
      if (name === "ready") return;
    }
    throw new Error(`otasim ended before it was ready: ${join(this.dir, "otasim.log")}`);
  }

  // api asks the cloud itself, past the console: what a page claims is held against it.
  async api(action, params = {}) {
    const flags = Object.entries(params).flatMap(([name, value]) => [value].flat().map((v) => `--${name}=${v}`));
    const { stdout } = await promisify(execFile)(join(bin, "otasim"), ["cloud", action, "--endpoint", this.url, ...("access-key" in params ? [] : ["--access-key", accessKey]), ...flags]);
    return JSON.parse(stdout);
  }

  // count says how many tasks of a batch are in a state.
  async count(job, status) {
    return (await this.api("ListOTATaskByJob", { JobId: job, TaskStatus: status, PageSize: 1, CurrentPage: 1 })).Total;
  }

  // fleet plays the devices of a list, as one of the scenarios beside this file says, until the play ends.
  fleet(name, csv, scenario) {
    writeFileSync(join(this.dir, `${name}.csv`), csv, { mode: 0o600 });
    const child = this.#spawn("otasim", ["fleet", "--mqtt", `mqtt://${this.mqtt}`, "--devices", join(this.dir, `${name}.csv`),
      "--scenario", new URL(`${scenario}.toml`, import.meta.url).pathname, "--duration", "15m", "--ramp", "200/s"], undefined, `${name}.log`);
    child.ended.then((how) => this.#stopped || this.#break(new Error(`otasim fleet ended with ${how}: ${join(this.dir, name)}.log`)));
  }

  // device runs otad for a device, and starts it again whenever it "reboots" (exit code 4).
  device({ product, name, secret, image, settings = {} }) {
    const dir = join(this.dir, name);
    mkdirSync(join(dir, "keys"), { recursive: true });
    const config = join(dir, "config.toml");
    const { size = 1 << 20, health = [["true"]], download = "retries = 1", key = "", trust = key ? "digestsign" : "digest" } = settings;
    writeFileSync(join(dir, "slot-a.img"), image);
    truncateSync(join(dir, "slot-a.img"), size);
    if (key) writeFileSync(join(dir, "keys", "cloud.pem"), key);
    writeFileSync(config, `
state_dir = "${dir}/state"
[device]
product_key = "${product}"
device_name = "${name}"
device_secret = "${secret}"
[cloud]
url = "mqtt://${this.mqtt}"
[[module]]
name = "default"
installer = "ab"
version_command = ["sh", "-c", "head -n 1 \\"$OTAD_SLOT_PATH\\""]
[slots]
kind = "files"
a = "${dir}/slot-a.img"
b = "${dir}/slot-b.img"
size = ${size}
[boot]
kind = "files"
dir = "${dir}/state"
[health]
timeout = "5s"
commands = ${JSON.stringify(health)}
[download]
${download}
[trust]
${key ? `keys = "${dir}/keys"` : ""}
require = "${trust}"
[api]
socket = "${dir}/api.sock"
`, { mode: 0o600 });
    const live = async () => {
      while (!this.#stopped) {
        const how = await this.#spawn("otad", ["run", "-c", config], undefined, `${name}.log`).ended;
        if (how !== 4 && !this.#stopped) throw new Error(`otad of ${name} ended with ${how}: ${join(this.dir, name)}.log`);
      }
    };
    live().catch((e) => this.#break(e));
  }

  async stop() {
    this.#stopped = true;
    const all = [...this.#children];
    for (const child of all) child.kill("SIGTERM");
    await Promise.all(all.map((child) => child.ended));
  }
}
