import { expect, test } from "vitest";
import { parseFacts } from "./facts.ts";

const STAT = (pid: number, comm: string, state: string, start: number, flags = 0): string =>
  `${pid} (${comm}) ${state} 1 ${pid} ${pid} 0 -1 ${flags} 0 0 0 0 0 0 0 0 20 0 1 0 ${start} 0 0 18446744073709551615`;

const TEXT = `@release
6.1.0-56-cloud-amd64
@cmdline
console=ttyS0 panic=1
@uptime
4.42 1.00
@modules
pktgen 61440 0 - Live 0xffffffffc0606000
loop 40960 2 - Live 0xffffffffc0095000
@task
${STAT(7, "a) b (c", "S", 99)}
[<0>] pipe_read+0x1ab/0x300
[<0>] kpktgend+0x20/0x30 [pktgen]
@task
${STAT(9, "kworker/0:1H-kblockd", "I", 3, 0x20_8040)}
@task
@task
${STAT(10, "cat", "R", 400)}
@again
${STAT(7, "a) b (c", "S", 99)}
${STAT(9, "kworker/0:1H-kblockd", "I", 3, 0x20_8040)}
${STAT(10, "cat", "R", 500)}
@end
`;

test("parseFacts reads what the guest told", () => {
  const facts = parseFacts(TEXT);
  expect(facts).toMatchObject({
    release: "6.1.0-56-cloud-amd64",
    cmdline: "console=ttyS0 panic=1",
    uptime: 4.42,
    modules: ["pktgen", "loop"],
  });
  expect(facts?.tasks).toEqual([
    {
      pid: 7,
      comm: "a) b (c",
      state: "S",
      ppid: 1,
      kernelThread: false,
      startTicks: 99n,
      stack: [
        { symbol: "pipe_read", offset: 0x1ab },
        { symbol: "kpktgend", offset: 0x20, module: "pktgen" },
      ],
      longLived: true,
    },
    { pid: 9, comm: "kworker/0:1H-kblockd", state: "I", ppid: 1, kernelThread: true, startTicks: 3n, stack: [], longLived: true },
    // The same number a second later, but another task.
    { pid: 10, comm: "cat", state: "R", ppid: 1, kernelThread: false, startTicks: 400n, stack: [], longLived: false },
  ]);
});

test("parseFacts does not take half of it", () => {
  expect(parseFacts(TEXT.replace("@end", ""))).toBeUndefined();
  expect(parseFacts("\0\0\0\0")).toBeUndefined();
});
