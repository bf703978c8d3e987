import { createSocket } from "node:dgram";
import { once } from "node:events";
import { rmSync, statSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawn } from "node:child_process";
import { afterEach, expect, test } from "vitest";
import type { PortError } from "../../src/pstore/port.ts";
import { nodePort } from "../../src/recorder/node-port.ts";
import { checkPort } from "./port-conformance.ts";
import { expectLeft, preparePortFolder, UNPRIVILEGED } from "./port-folder.ts";

const folders: string[] = [];

function folder(): string {
  const made = preparePortFolder();
  folders.push(made);
  return made;
}

afterEach(() => {
  for (const made of folders.splice(0)) rmSync(made, { recursive: true });
});

test("Node's port does as every port does", async () => {
  const where = folder();
  // Nothing is denied to root.
  if (process.getuid?.() === 0) process.seteuid?.(UNPRIVILEGED);
  try {
    const results = await checkPort(nodePort(), where);
    expect(results.filter((result) => !result.ok)).toEqual([]);
  } finally {
    if (process.getuid?.() === 0) process.seteuid?.(0);
  }
  expectLeft(where);
});

test("a process that polls a quiet FIFO ends at once on SIGTERM", async () => {
  const path = join(folder(), "quiet");
  const source = `
    import { nodePort } from ${JSON.stringify(fileURLToPath(new URL("../../src/recorder/node-port.ts", import.meta.url)))};
    const port = nodePort();
    port.makeFifo(${JSON.stringify(path)});
    const stops = [];
    for (const file of [${JSON.stringify(path)}, "/dev/tty", "/dev/kmsg"]) {
      let fd;
      try { fd = port.open(file, "read-write"); } catch { continue; }
      const stop = port.poll(fd, new Uint8Array(8192), () => {}, () => {}, () => true);
      stops.push(() => { stop(); port.close(fd); });
    }
    process.on("SIGTERM", () => { for (const stop of stops) stop(); process.exitCode = 7; });
    setTimeout(() => console.log("polling"), 300);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", source], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const asked = Date.now();
  child.kill("SIGTERM");
  const [code] = (await once(child, "exit")) as [number | null];
  expect(code).toBe(7);
  expect(Date.now() - asked).toBeLessThan(1000);
});

test("listen takes what everybody writes, and the place of a socket that nobody answers at", async () => {
  const path = join(folder(), "socket");
  const port = nodePort();
  const listen = port.listen ?? expect.unreachable();
  let text = "";
  const errors: PortError[] = [];
  const begin = (): (() => void) =>
    listen(
      path,
      (bytes) => (text += Buffer.from(bytes).toString("latin1")),
      (error) => errors.push(error),
    );
  const say = async (words: string): Promise<void> => {
    const socket = createConnection(path);
    await once(socket, "connect");
    socket.end(words);
    await expect.poll(() => text, { timeout: 5000 }).toContain(words);
  };
  const end = begin();
  await expect.poll(() => statSync(path, { throwIfNoEntry: false })?.isSocket()).toBe(true);
  expect(statSync(path).mode & 0o222).toBe(0o222);
  await say("first");
  await say("second");

  const second = begin();
  await expect.poll(() => errors.map((error) => error.code)).toEqual(["EADDRINUSE"]);
  second();
  await say("still there");
  end();
  await expect.poll(() => statSync(path, { throwIfNoEntry: false })).toBe(undefined);

  const killed = spawn(process.execPath, [
    "--eval",
    `require("node:net").createServer().listen(${JSON.stringify(path)}, () => console.log(1))`,
  ]);
  await once(killed.stdout, "data");
  killed.kill("SIGKILL");
  await once(killed, "exit");
  expect(statSync(path).isSocket()).toBe(true);
  const third = begin();
  await expect.poll(() => createConnectionWorks(path), { timeout: 5000 }).toBe(true);
  await say("after a crash");
  third();
  expect(errors).toHaveLength(1);
});

function createConnectionWorks(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

test("datagrams arrive as they were when they were sent, and errors are told", async () => {
  const receiver = createSocket("udp4");
  receiver.bind(0, "127.0.0.1");
  await once(receiver, "listening");
  const errors: PortError[] = [];
  const datagrams = nodePort().datagrams ?? expect.unreachable();
  const sender = datagrams("127.0.0.1", receiver.address().port, (error) => errors.push(error));
  const bytes = Uint8Array.of(1, 2, 3);
  const arrival = once(receiver, "message") as Promise<[Buffer]>;
  sender.send(bytes);
  bytes.fill(9);
  expect([...(await arrival)[0]]).toEqual([1, 2, 3]);
  sender.send(new Uint8Array(70_000));
  await expect.poll(() => errors.map((error) => error.code)).toEqual(["EMSGSIZE"]);
  expect(errors[0]?.message).toMatch(/^cannot send to 127\.0\.0\.1 port \d+: /);
  sender.close();
  sender.close();
  receiver.close();
});
