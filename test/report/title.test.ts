import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { type CrashTitle, titleOfLog, titlesOfLog } from "../../src/report/title/index.ts";

/** Gives every line a console head: the time, and where the kernel tags its lines the task. */
function printed(text: string, caller = ""): string {
  return text
    .trim()
    .split("\n")
    .map((line, index) => `[   12.${String(340000 + index)}]${caller} ${line}`)
    .join("\n");
}

function expectTitle(log: string, expected: Partial<CrashTitle>): void {
  expect(titleOfLog(log)).toMatchObject(expected);
}

const OOPS_X86 = `
BUG: kernel NULL pointer dereference, address: 0000000000000000
#PF: supervisor write access in kernel mode
#PF: error_code(0x0002) - not-present page
PGD b2e067 P4D b2e067 PUD b33067 PMD 0
Oops: 0002 [#1] SMP
CPU: 1 PID: 1 Comm: init Kdump: loaded Not tainted 6.1.192-evidence #1
RIP: 0010:lkdtm_EXCEPTION+0x7/0xf
Code: 76 fd fa 89 48 8d 44 24 08 50 e8 40 c5 d1 ff
RSP: 0018:ffffa027c0013e10 EFLAGS: 00000246
RAX: 0000000000000000 RBX: ffff88ce0584d000 RCX: 0000000000000003
Call Trace:
 <TASK>
 direct_entry+0xaa/0xc0
 full_proxy_write+0x46/0x61
 ? full_proxy_poll+0x4a/0x4a
 vfs_write+0xa3/0x18b
 ksys_write+0x6b/0x9c
 do_syscall_64+0x39/0x46
 entry_SYSCALL_64_after_hwframe+0x4b/0xb5
 </TASK>
Modules linked in: ramoops reed_solomon
CR2: 0000000000000000
---[ end trace 0000000000000000 ]---
Kernel panic - not syncing: Fatal exception
Kernel Offset: 0x9000000 from 0xffffffff81000000`;
const OOPS_TITLE = "BUG: unable to handle kernel NULL pointer dereference in lkdtm_EXCEPTION";

/** A WARNING of a kernel that traps. */
function trapped(header: string): string {
  return `
------------[ cut here ]------------
${header}
Modules linked in:
CPU: 1 UID: 0 PID: 5830 Comm: app Not tainted 6.19.0 #1
RIP: 0010:ovl_stack_put+0x5c/0x80
Call Trace:
 <TASK>
 ovl_free_entry+0x9d/0x120
 iput_final+0x1/0x2
 do_syscall_64+0xfa/0x250
 </TASK>
---[ end trace 0000000000000000 ]---`;
}

/** A hung task that waits in `frames`. */
function hungTask(frames: string): string {
  return printed(`
INFO: task kworker/0:1:123 blocked for more than 122 seconds.
      Not tainted 6.12.0 #1
"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
task:kworker/0:1     state:D stack:0     pid:123   ppid:2      flags:0x00004000
Call Trace:
 <TASK>
 __schedule+0x409/0x452
 schedule+0x82/0xaf
${frames}
 kthread+0x1/0x2
 </TASK>`);
}

describe("kinds of crash", () => {
  test("a NULL pointer on x86-64 6.1", () => {
    expect(titleOfLog(printed(OOPS_X86))).toEqual({
      title: OOPS_TITLE,
      altTitles: ["bad-access in lkdtm_EXCEPTION"],
      type: "NULL-POINTER-DEREFERENCE",
      frame: "lkdtm_EXCEPTION",
      corrupted: false,
      line: 0,
      endLine: 24,
      rule: "null-dereference",
    });
  });

  test("a NULL pointer on aarch64 6.x", () => {
    const log = `
Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008
Mem abort info:
  ESR = 0x0000000096000004
Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP
CPU: 1 UID: 0 PID: 6560 Comm: syz.2 Not tainted 6.13.0 #0
pstate: 80402009 (Nzcv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
pc : __pi_memcpy+0x10/0x20
lr : skb_copy_from_linear+0x78/0x1e0
sp : ffff80009c6d7420
x29: ffff80009c6d7420 x28: 0000000000000000 x27: 0000000000000001
Call trace:
 __pi_memcpy+0x10/0x20 (P)
 tcp_sendmsg_locked+0x78/0x1e0
 __arm64_sys_sendto+0xd8/0xf8
 invoke_syscall+0x98/0x2b8
Code: 910003fd a90153f3
---[ end trace 0000000000000000 ]---`;
    expectTitle(printed(log, "[ T6560]"), {
      title: "BUG: unable to handle kernel NULL pointer dereference in tcp_sendmsg_locked",
      altTitles: ["bad-access in tcp_sendmsg_locked"],
      corrupted: false,
    });
  });

  test("a general protection fault, 6.13 spelling", () => {
    const log = `
Oops: general protection fault, probably for non-canonical address 0xdffffc0000000005: 0000 [#1] SMP KASAN
KASAN: null-ptr-deref in range [0x0000000000000028-0x000000000000002f]
CPU: 0 UID: 0 PID: 9 Comm: kworker/0:1 Not tainted 6.13.0 #1
RIP: 0010:fq_reset+0x1f/0x330
Call Trace:
 <TASK>
 qdisc_reset+0x9b/0x6b0
 dev_deactivate_queue+0x60/0x90
 process_one_work+0x9a0/0x1ba0
 </TASK>`;
    expectTitle(printed(log), { title: "general protection fault in fq_reset", type: "DoS" });
  });

  test("WARNINGs of four generations", () => {
    for (const header of [
      "WARNING: CPU: 1 PID: 5830 at fs/overlayfs/util.c:112 ovl_stack_put+0x5c/0x80",
      "WARNING: fs/overlayfs/util.c:112 at ovl_stack_put+0x5c/0x80, CPU#1: app/5830",
      "WARNING: [ref > 0] fs/overlayfs/util.c:112 at ovl_stack_put+0x5c/0x80, CPU#1: app/5830",
      "WARNING: fs/overlayfs/util.c:112 at 0x0, CPU#1: app/5830",
    ]) {
      expectTitle(printed(trapped(header)), {
        title: "WARNING in ovl_stack_put",
        type: "WARNING",
        line: 1,
        corrupted: false,
      });
    }
    const old = `
WARNING: CPU: 1 PID: 36348 at net/core/dev.c:903 netif_foo+0x89/0xa0()
Modules linked in:
Call Trace:
 [<ffffffff81da3492>] dump_stack+0xf6/0x184
 [<ffffffff8116acb5>] warn_slowpath_null+0x29/0x30
 [<ffffffff812b43a8>] ? __do_page_fault+0x398/0x940
 [<ffffffff82d43010>] netif_foo+0x89/0xa0
 [<ffffffff81087150>] SyS_ioctl+0x910/0x15e0`;
    expectTitle(printed(old), { title: "WARNING in netif_foo", corrupted: false });
  });

  test("KASAN, KFENCE, UBSAN, KMSAN, KCSAN", () => {
    expectTitle(
      printed(`
BUG: KASAN: slab-use-after-free in __list_del_entry_valid+0x1/0x2
Read of size 8 at addr ffff88801c0a5c08 by task syz/5830

CPU: 0 PID: 5830 Comm: syz Not tainted 6.6.0 #0
Call Trace:
 <TASK>
 dump_stack_lvl+0x116/0x1f0
 print_report+0xc3/0x620
 kasan_report+0xd9/0x110
 __list_del_entry_valid+0x1/0x2
 __do_sys_timer_delete+0x1/0x2
 </TASK>
Allocated by task 5830:
 kasan_save_stack+0x33/0x60
Freed by task 12:
 kasan_save_stack+0x33/0x60
The buggy address belongs to the object`),
      {
        title: "KASAN: slab-use-after-free Read in timer_delete",
        altTitles: [
          "KASAN: slab-use-after-free Read in __do_sys_timer_delete",
          "bad-access in __do_sys_timer_delete",
          "bad-access in timer_delete",
        ],
        type: "KASAN-USE-AFTER-FREE-READ",
        corrupted: false,
      },
    );
    expectTitle(
      printed(`
BUG: KFENCE: out-of-bounds read in test_out_of_bounds+0x98/0x22b

Out-of-bounds read at 0xffff8c3f2e291fff (1B left of kfence-#72):
 test_out_of_bounds+0x98/0x22b
 kunit_try_run_case+0x51/0x85
Call Trace:
 kthread+0x16b/0x1a0
 ret_from_fork+0x22/0x30`),
      { title: "KFENCE: out-of-bounds read in test_out_of_bounds", type: "KFENCE-READ" },
    );
    expectTitle(
      printed(`
UBSAN: shift-out-of-bounds in fs/jfs/jfs_dmap.c:2630:16
shift exponent 64 is too large for 32-bit type 'int'
CPU: 0 PID: 1 Comm: mount
Call Trace:
 dump_stack_lvl+0x1/0x2
 __ubsan_handle_shift_out_of_bounds+0x1/0x2
 dbSplit+0x1/0x2`),
      { title: "UBSAN: shift-out-of-bounds in dbSplit", type: "UBSAN" },
    );
    expectTitle(
      printed(`
BUG: KMSAN: uninit-value in aes_encrypt+0x15cc/0x1db0
 aes_encrypt+0x15cc/0x1db0
 crypto_cipher_encrypt_one+0x1/0x2
 ntfs_iget5+0x1/0x2

Uninit was created at:
 slab_alloc_node+0x1/0x2
 ntfs_read_mft+0x1/0x2`),
      { title: "KMSAN: uninit-value in ntfs_iget5", type: "KMSAN-UNINIT-VALUE", corrupted: false },
    );
    expectTitle(printed("BUG: KCSAN: data-race in e1000_clean_rx_irq / e1000_clean\n"), {
      title: "KCSAN: data-race in e1000_clean_rx_irq / e1000_clean",
      frame: "e1000_clean_rx_irq",
      type: "KCSAN-DATARACE",
    });
  });

  test("a stall is named after what a dispatcher called", () => {
    const stack = `
RIP: 0010:__sanitizer_cov_trace_pc+0x4/0x60
Call Trace:
 <TASK>
 nf_loop_inner+0x1/0x2
 nf_tables_getgen+0x1/0x2
 nfnetlink_rcv_msg+0x1/0x2
 do_syscall_64+0x39/0x46
 </TASK>`;
    expectTitle(printed(`watchdog: BUG: soft lockup - CPU#2 stuck for 136s! [app:4888]${stack}`), {
      title: "BUG: soft lockup in nf_tables_getgen",
      altTitles: ["stall in nf_tables_getgen"],
      type: "HANG",
    });
    expectTitle(
      printed(`
rcu: INFO: rcu_preempt self-detected stall on CPU
rcu:    0-....: (1 GPs behind) idle=8ce4/1/0x4000000000000000
Call Trace:
 <IRQ>
 rcu_sched_clock_irq+0x1/0x2
 </IRQ>
 <TASK>
 asm_sysvec_apic_timer_interrupt+0x1a/0x20${stack.replace("Call Trace:\n", "")}`),
      { title: "INFO: rcu detected stall in nf_tables_getgen", type: "HANG" },
    );
    // Our own addition: a kernel that does not panic on it says no more than this.
    expectTitle(printed(`watchdog: Watchdog detected hard LOCKUP on cpu 3${stack}`), {
      title: "BUG: hard lockup in nf_tables_getgen",
      type: "HANG",
    });
  });

  test("a hung task is named after what it waits for", () => {
    expectTitle(hungTask(" rwsem_down_write_slowpath+0x1/0x2\n down_write+0x1/0x2\n i2c_transfer+0x1/0x2"), {
      title: "INFO: task hung in i2c_transfer",
      altTitles: ["hang in i2c_transfer"],
    });
    expectTitle(hungTask(" __wait_rcu_gp+0x1/0x2\n synchronize_rcu_expedited+0x1/0x2\n foo+0x1/0x2"), {
      title: "INFO: task hung in synchronize_rcu",
    });
  });

  test("lockdep", () => {
    const circular = `
======================================================
WARNING: possible circular locking dependency detected
6.1.0 #1 Not tainted
------------------------------------------------------
app/3699 is trying to acquire lock:
ffffffff8da5a168 (rtnl_mutex){+.+.}-{3:3}, at: wg_set_device+0x102/0x13d0

but task is already holding lock:
ffffffff8da4f448 (genl_mutex){+.+.}-{3:3}, at: genl_rcv_msg+0x2e/0x50

the existing dependency chain (in reverse order) is:
stack backtrace:
Call Trace:
 dump_stack+0x1/0x2
 check_noncircular+0x1/0x2`;
    expectTitle(printed(circular), { title: "possible deadlock in wg_set_device", type: "LOCKDEP" });
  });

  test("panics by any caller", () => {
    const panic = (reason: string): string =>
      printed(`
Kernel panic - not syncing: ${reason}
CPU: 1 PID: 1 Comm: init Kdump: loaded Not tainted 6.1.0-56-cloud-amd64 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x44/0x5c
 panic+0x118/0x2f4
 ? _printk+0x68/0x83
 sysrq_handle_crash+0x16/0x20
 do_syscall_64+0x5d/0x90
 </TASK>`);
    expectTitle(panic("sysrq triggered crash"), {
      title: "kernel panic: sysrq triggered crash",
      type: "DoS",
      frame: "sysrq_handle_crash",
      corrupted: false,
    });
    expectTitle(panic("Out of memory: compulsory panic_on_oom is enabled"), {
      title: "kernel panic: Out of memory: compulsory panic_on_oom is enabled",
    });
    expectTitle(panic("VFS: Unable to mount root fs on unknown-block(8,1)"), {
      title: "kernel panic: VFS: Unable to mount root fs on unknown-block(NUM,NUM)",
    });
    expectTitle(panic("Attempted to kill init! exitcode=0x00000009"), {
      title: "kernel panic: Attempted to kill init!",
    });
    expectTitle(printed("Kernel panic - not syncing: Fatal exception in interrupt"), {
      title: "kernel panic: Fatal exception",
      corrupted: "only a part of the report is there",
    });
  });

  test("machine checks, double faults, overflown and overwritten stacks", () => {
    expectTitle(
      printed(`
mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 4: b200000000070f0f
mce: [Hardware Error]: TSC 1234
Kernel panic - not syncing: Fatal machine check`),
      { title: "kernel panic: Fatal machine check", corrupted: false, line: 2 },
    );
    expectTitle(printed("mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 4: b200000000070f0f"), {
      title: "machine check exception",
    });
    expectTitle(
      printed(`
traps: PANIC: double fault, error_code: 0x0
double fault: 0000 [#1] PREEMPT SMP
RIP: 0010:compat_sock_ioctl+0x1/0x2
Call Trace:
 foo+0x1/0x2`),
      { title: "PANIC: double fault in compat_sock_ioctl" },
    );
    expectTitle(printed("Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: ktime_get+0x2b5/0x2c0"), {
      title: "kernel panic: stack is corrupted in ktime_get",
      corrupted: false,
    });
    expectTitle(
      printed(`
BUG: TASK stack guard page was hit at ffffc9000396ff88 (stack is ffffc90003970000..ffffc90003977fff)
RIP: 0010:mark_lock+0x1/0x2
Call Trace:
 <TASK>
 tls_recurse+0x1/0x2
 tls_setsockopt+0x1/0x2
 do_syscall_64+0x1/0x2`),
      {
        title: "BUG: stack guard page was hit in tls_setsockopt",
        altTitles: ["stack-overflow in tls_setsockopt"],
      },
    );
  });

  test("what the machine says when the header is lost", () => {
    expectTitle(
      printed(`
Oops: 0002 [#1] SMP
RIP: 0010:foo_write+0x7/0xf
Call Trace:
 vfs_write+0x1/0x2
 do_syscall_64+0x1/0x2`),
      { title: "Oops in foo_write", altTitles: ["bad-access in foo_write"] },
    );
    expectTitle(printed("BUG task_struct(12:a) (Tainted: G    B     ): Poison overwritten"), {
      title: "BUG task_struct: Poison overwritten",
    });
  });
});

describe("the same crash printed otherwise", () => {
  const lines = OOPS_X86.trim().split("\n");
  const heads: Record<string, (line: string, index: number) => string> = {
    "console with callers": (line) => `[    4.167993][    T1] ${line}`,
    "dmesg with callers": (line) => `[    4.167993] [      T1] ${line}`,
    "dmesg -r": (line) => `<1>[    4.167993] ${line}`,
    "dmesg -T": (line) => `[Fri Nov 20 23:53:37 2026] ${line}`,
    "dmesg -x": (line) => `kern  :alert : [    4.167993] ${line}`,
    "dmesg --time-format iso": (line) => `2026-11-20T23:53:37,167993+00:00 ${line}`,
    "/dev/kmsg": (line, index) => `1,${339 + index},4167993,-,caller=T1;${line}`,
    "no time at all": (line) => line,
    journalctl: (line) => `Nov 20 23:53:37 web-1 kernel: ${line}`,
    "journalctl -o short-monotonic": (line) => `[    4.167993] web-1 kernel: ${line}`,
    rsyslog: (line) => `2026-11-20T23:53:37.167993+00:00 web-1 kernel: [    4.167993] ${line}`,
    busybox: (line) => `Nov 20 23:53:37 buildroot kern.alert kernel: [    4.167993] ${line}`,
    "carriage returns": (line) => `[    4.167993] ${line}\r`,
    "more carriage returns": (line) => `\r[    4.167993] ${line}\r\r`,
    colours: (line) => `\x1b[32m[    4.167993] \x1b[0m\x1b[31m${line}\x1b[0m`,
  };

  test.each(Object.entries(heads))("%s", (_, head) => {
    const log = lines.map((line, index) => head(line, index));
    const expected: Partial<CrashTitle> = {
      title: OOPS_TITLE,
      frame: "lkdtm_EXCEPTION",
      corrupted: false,
      line: 0,
    };
    expectTitle(log.join("\n"), expected);
    expectTitle(log.join("\n") + "\n", expected);
    expect(titleOfLog(log)).toMatchObject(expected);
  });

  test("lines of other tasks in between", () => {
    const mixed = lines.flatMap((line) => [
      `[    4.167993][    T1] ${line}`,
      "[    4.167993][   T77]  evil_function+0x1/0x2",
      "[    4.167993][    C0] RIP: 0010:evil_function+0x1/0x2",
      "init: starting a service",
    ]);
    expectTitle(mixed.join("\n"), { title: OOPS_TITLE, corrupted: false });
  });

  test("behind a progress bar without a line feed", () => {
    const log = `${"copied 12%\r".repeat(5000)}${lines.join("\n")}`;
    expectTitle(log, { title: OOPS_TITLE, line: 0 });
    expect(titleOfLog(log.split("\n"))).toMatchObject({ title: OOPS_TITLE, line: 0 });
  });
});

describe("several crashes", () => {
  const bug = `
------------[ cut here ]------------
kernel BUG at drivers/misc/lkdtm/bugs.c:78!
invalid opcode: 0000 [#2] SMP
RIP: 0010:lkdtm_BUG+0x5/0x7
Call Trace:
 direct_entry+0xaa/0xc0
 vfs_write+0xa3/0x18b
 do_syscall_64+0x39/0x46
---[ end trace 0000000000000000 ]---
Kernel panic - not syncing: Fatal exception`;

  test("come in order, each with what it led to", () => {
    const log = `${printed(OOPS_X86)}\n${printed(bug)}\n${printed("Kernel panic - not syncing: out of luck")}`;
    expect(titlesOfLog(log).map(({ title, line }) => [title, line])).toEqual([
      [OOPS_TITLE, 0],
      ["kernel BUG in lkdtm_BUG", 26],
      ["kernel panic: out of luck", 35],
    ]);
    expect(titlesOfLog(log, { limit: 2 })).toHaveLength(2);
    expect(titleOfLog(log)?.title).toBe(OOPS_TITLE);
  });

  test("the next boot ends a report and is not one", () => {
    const boot = "[    0.000000] Linux version 6.1.192 (root@vm) #1 SMP\n[    0.000000] x86/fpu: ok";
    const log = `${boot}\n${printed(OOPS_X86)}\nBooting the kernel.\n${boot}\n${printed(bug)}`;
    expect(titlesOfLog(log).map(({ title, endLine }) => [title, endLine])).toEqual([
      [OOPS_TITLE, 26],
      ["kernel BUG in lkdtm_BUG", 39],
    ]);
    expect(titleOfLog(`Booting the kernel.\n${boot}`)).toBeUndefined();
    expectTitle(`${boot}\nBooting the kernel.\n${boot}`, { title: "unexpected kernel reboot" });
  });

  test("limit is checked", () => {
    expect(() => titlesOfLog("", { limit: 0 })).toThrow("limit is 0, it must be 1 to 1000");
    expect(() => titlesOfLog("", { limit: 1.5 })).toThrow(RangeError);
  });
});

describe("logs without a crash", () => {
  test.each([
    "",
    "\n\n",
    "[    0.000000] Linux version 6.1.0\n[    0.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled",
    "[    0.1] RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks",
    "Aug 17 12:34:56 web-1 app[123]: WARNING: disk is slow\nAug 17 12:34:56 web-1 app[1]: INFO: ok",
    "[   12.3] dracut-initqueue[300]: WARNING: /dev/root does not exist",
    "[   12.3] traps: app[1] general protection fault ip:401136 sp:7ffe0 error:0",
    "[   12.3] traps: app[1] general protection fault ip:401136 sp:7ffe0 error:0 in app[401000+1000]",
    "Aug 17 12:34:56 web-1 gcc[123]: fatal error: no input files",
    "[   12.3] Out of memory: Killed process 168 (sh) total-vm:198876kB",
    "[    0.0] Kernel command line: console=ttyS0 panic=1 oops=panic",
  ])("%j", (log) => {
    expect(titleOfLog(log)).toBeUndefined();
  });

  test("a program's message does not hide the crash after it", () => {
    const noise = "INFO: starting\n[    1.0] WARNING: foo is deprecated\n[    2.0] app[1]: BUG: x\n";
    expectTitle(noise + printed(OOPS_X86), { title: OOPS_TITLE, line: 3 });
    expectTitle(noise, { title: "WARNING: foo is deprecated", rule: undefined });
  });
});

describe("corruption", () => {
  test.each([
    ["no trace at all", "WARNING: CPU: 1 PID: 1 at mm/foo.c:1 foo+0x1/0x2\nModules linked in:", "WARNING in corrupted"],
    ["a cut trace", "general protection fault: 0000 [#1]\nRIP: 0010:foo+0x1/0x2\nCall Trace:", "general protection fault in foo"],
    ["a time stamp inside", "WARNING: foo [   12.345678] bar", "WARNING: foo [ NUM.ADDR] bar"],
  ])("%s", (_, text, title) => {
    const crash = titleOfLog(printed(text));
    expect(crash?.title).toBe(title);
    expect(crash?.corrupted).toEqual(expect.any(String));
  });

  test("fault injection in the middle", () => {
    const log = OOPS_X86.replace(" direct_entry+", " should_fail+0x1/0x2\n direct_entry+");
    expectTitle(printed(log), { corrupted: "no frame could be taken from the stack trace" });
  });

  test("a console that was lost", () => {
    expectTitle(`${printed(OOPS_X86)}\nserialport: VM disconnected.`, {
      title: OOPS_TITLE,
      corrupted: "the console was disconnected",
    });
  });
});

const EVIDENCE = new URL("../../../shared/evidence/", import.meta.url);

describe.skipIf(!existsSync(EVIDENCE))("real consoles", () => {
  test.each([
    ["debian-6.1-sysrq", "kernel panic: sysrq triggered crash", "sysrq_handle_crash"],
    ["debian-6.12-oom", "kernel panic: Out of memory: system-wide panic_on_oom is enabled", "out_of_memory"],
    ["evidence-6.1-oops", OOPS_TITLE, "lkdtm_EXCEPTION"],
    ["evidence-6.1-hung-task", "INFO: task hung in direct_entry", "direct_entry"],
  ])("%s", (folder, title, frame) => {
    const log = readFileSync(new URL(`${folder}/console.log`, EVIDENCE), "latin1");
    expect(titlesOfLog(log)).toMatchObject([{ title, frame, corrupted: false }]);
  });

  test("pstore-ramoops-deflate-ecc", () => {
    const log = readFileSync(new URL("pstore-ramoops-deflate-ecc/console.log", EVIDENCE), "latin1");
    expect(titlesOfLog(log).map(({ title }) => title)).toEqual([OOPS_TITLE, "kernel BUG in lkdtm_BUG", "kernel panic: dumptest"]);
  });
});
