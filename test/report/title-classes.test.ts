/** The classes of crashes that real machines die of, on both architectures, from old to new formats: a title for each. */
import { describe, expect, test } from "vitest";
import { titleOfLog } from "../../src/report/title/index.ts";

function printed(lines: readonly string[]): string {
  return lines.map((line, i) => `[   10.${String(i).padStart(6, "0")}][   T77] ${line}\n`).join("");
}

/** What arm64 prints under the headlines. */
function arm64(...head: string[]): string {
  return printed([
    ...head,
    "CPU: 5 UID: 0 PID: 12 Comm: sh Not tainted 6.19.0-arm64 #1",
    "pstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)",
    "pc : frob+0x12/0x40 [frob]",
    "lr : frob_store+0x20/0x60 [frob]",
    "sp : ffff80008000bd10",
    "Call trace:",
    " frob+0x12/0x40 [frob] (P)",
    " frob_store+0x20/0x60 [frob]",
    " vfs_write+0xcc/0x2f0",
    " ksys_write+0x70/0x100",
    " __arm64_sys_write+0x24/0x30",
    " el0t_64_sync+0x190/0x194",
    "---[ end trace 0000000000000000 ]---",
  ]);
}

function x86(...head: string[]): string {
  return printed([
    ...head,
    "CPU: 2 UID: 0 PID: 77 Comm: worker Not tainted 7.2.0-test #1 PREEMPT(full)",
    "RIP: 0010:frob+0x12/0x40",
    "RSP: 0018:ffffc90000013e10 EFLAGS: 00010246",
    "Call Trace:",
    " <TASK>",
    " frob_store+0x10/0x100",
    " vfs_write+0xf0/0x440",
    " ksys_write+0x6f/0xf0",
    " do_syscall_64+0x5c/0x90",
    " entry_SYSCALL_64_after_hwframe+0x76/0x7e",
    " </TASK>",
    "---[ end trace 0000000000000000 ]---",
  ]);
}

describe("on aarch64", () => {
  test.each([
    [
      "BUG: unable to handle kernel NULL pointer dereference in frob",
      ["Unable to handle kernel NULL pointer dereference at virtual address 0000000000000018"],
    ],
    ["BUG: unable to handle kernel paging request in frob", ["Unable to handle kernel paging request at virtual address dead000000000100"]],
    [
      "BUG: unable to handle kernel write to read-only memory in frob",
      ["Unable to handle kernel write to read-only memory at virtual address ffff800008e00000"],
    ],
    [
      "BUG: unable to handle kernel read from unreadable memory in frob",
      ["Unable to handle kernel read from unreadable memory at virtual address ffff800008e00000"],
    ],
    [
      "BUG: unable to handle kernel execute from non-executable memory in frob",
      ["Unable to handle kernel execute from non-executable memory at virtual address ffff800008e00000"],
    ],
    ["kernel BUG in frob", ["kernel BUG at drivers/frob.c:12!", "Internal error: Oops - BUG: 00000000f2000800 [#1] PREEMPT SMP"]],
    [
      "Internal error in frob",
      [
        "CFI failure at frob+0x1c/0x40 (target: g+0x0/0x10; expected type: 0x1234)",
        "Internal error: Oops - CFI: 00000000f2008228 [#1] SMP",
      ],
    ],
    ["Internal error in frob", ["Internal error: synchronous external abort: 0000000096000010 [#1] SMP"]],
    ["Internal error in frob", ["Internal error: Oops - Undefined instruction: 0000000002000000 [#1] SMP"]],
    ["WARNING in frob", ["WARNING: CPU: 5 PID: 12 at drivers/frob.c:12 frob+0x12/0x40 [frob]"]],
    ["BUG: soft lockup in frob_store", ["watchdog: BUG: soft lockup - CPU#5 stuck for 22s! [sh:12]"]],
    ["BUG: hard lockup in frob_store", ["watchdog: CPU5: Watchdog detected hard LOCKUP on cpu 5"]],
    ["SError interrupt in frob", ["SError Interrupt on CPU5, code 0x00000000be000011 -- SError"]],
  ])("%s: %j", (title, head) => {
    expect(titleOfLog(arm64(...head))).toMatchObject({ title, corrupted: false });
  });

  test("a permission fault is an unsafe access, whichever it was", () => {
    const crash = titleOfLog(arm64("Unable to handle kernel write to read-only memory at virtual address ffff800008e00000"));
    expect(crash).toMatchObject({
      rule: "unable-to-handle-permission",
      type: "MEMORY_SAFETY_BUG",
      altTitles: ["bad-access in frob"],
      frame: "frob",
    });
  });
});

describe("on x86-64, as 6.10 and later print it", () => {
  test.each([
    [
      "general protection fault in frob",
      ["Oops: general protection fault, probably for non-canonical address 0xdffffc0000000003: 0000 [#1] SMP KASAN"],
    ],
    ["divide error in frob", ["Oops: divide error: 0000 [#1] SMP"]],
    [
      "BUG: unable to handle kernel paging request in frob",
      ["BUG: unable to handle page fault for address: ffffc90000000018", "Oops: Oops: 0002 [#1] SMP NOPTI"],
    ],
    ["WARNING in frob", ["WARNING: drivers/frob.c:12 at frob+0x12/0x40, CPU#2: worker/77"]],
    ["WARNING in frob", ["WARNING: [x != y] drivers/frob.c:12 at frob+0x12/0x40, CPU#2: worker/77"]],
    ["PANIC: double fault in frob", ["traps: PANIC: double fault, error_code: 0x0", "Oops: double fault: 0000 [#1] SMP"]],
    ["kernel BUG in frob", ["kernel BUG at drivers/frob.c:12!", "Oops: invalid opcode: 0000 [#1] SMP"]],
    ["Oops in frob", ["Oops: alignment check: 0000 [#1] SMP"]],
    [
      "BUG: stack guard page was hit in frob_store",
      ["BUG: TASK stack guard page was hit at ffffc90000013ff8 (stack is ffffc90000014000..ffffc90000018000)"],
    ],
  ])("%s: %j", (title, head) => {
    expect(titleOfLog(x86(...head))).toMatchObject({ title, corrupted: false });
  });
});

test("a stall of RCU's task flavours", () => {
  for (const flavour of ["tasks", "tasks_trace", "tasks_rude"]) {
    expect(titleOfLog(x86(`INFO: rcu_${flavour} detected stalls on tasks:`))).toMatchObject({ rule: "rcu-stall", type: "HANG" });
  }
});
