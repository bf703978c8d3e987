/** What the recorder keeps up with: tty writes as a kernel hands them out, in binary pages of its trace ring, into a region in a file. */
import { spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import { probeSets } from "../src/pstore/frontend/tty.ts";
import { TracePageWriter } from "../test/writers/trace-page.ts";

/** Bytes of one write, and writes in a page of 4 KiB. */
const WRITE = 500;
const WRITES = 7;
const HEADER_PAGE = `\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;
`;
const HEADER_EVENT = `\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\tpadding     : type == 29\n\ttime_extend : type == 30\n\tdata max type_len  == 28\n`;

/** Figures of one run. */
export interface RecordFigures {
  /** Megabytes of tty text a second. */
  readonly rate: number;
  /** Largest resident memory in MB. */
  readonly peakMB: number;
  /** From the process's start to the first byte in the region. */
  readonly firstByteSeconds: number;
}

/** A folder with the files of a tracefs, whose rings are FIFOs. */
function fakeTracefs(folder: string): string[] {
  const instance = join(folder, "instances/lastwords");
  const set = probeSets()[0]!;
  mkdirSync(join(instance, "events/lastwords"), { recursive: true });
  writeFileSync(
    join(folder, "kprobe_events"),
    set.probes.map((probe) => `p:lastwords/${probe.name} n_tty_write ${probe.fetch}\n`).join(""),
  );
  writeFileSync(join(instance, "trace_clock"), "local [global] counter\n");
  for (const name of ["buffer_size_kb", "buffer_percent", "tracing_on", "current_tracer"]) writeFileSync(join(instance, name), "");
  writeFileSync(join(instance, "events/header_page"), HEADER_PAGE);
  writeFileSync(join(instance, "events/header_event"), HEADER_EVENT);
  for (const [i, probe] of set.probes.entries()) {
    const at = join(instance, "events/lastwords", probe.name);
    mkdirSync(at);
    writeFileSync(join(at, "enable"), "");
    writeFileSync(join(at, "filter"), "");
    const fields = [
      "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;",
      "\tfield:u64 nr;\toffset:16;\tsize:8;\tsigned:0;",
      "\tfield:__data_loc char[] name;\toffset:24;\tsize:4;\tsigned:0;",
      `\tfield:u64 bytes0[];\toffset:28;\tsize:${Math.min(512, probe.upTo)};\tsigned:0;`,
    ];
    writeFileSync(join(at, "format"), `name: ${probe.name}\nID: ${i + 1}\nformat:\n${fields.join("\n")}\n`);
  }
  const fifos: string[] = [];
  for (let cpu = 0; cpu < availableParallelism(); cpu++) {
    const at = join(instance, `per_cpu/cpu${cpu}`);
    mkdirSync(at, { recursive: true });
    execFileSync("mkfifo", [join(at, "trace_pipe_raw")]);
    fifos.push(join(at, "trace_pipe_raw"));
  }
  return fifos;
}

/** A page of writes; the text is lines, as a console's. */
function page(number: number): Buffer {
  const writer = new TracePageWriter(BigInt(number) * 1000n);
  for (let i = 0; i < WRITES; i++) {
    const event = Buffer.alloc(28 + 512);
    event.writeUInt16LE(2, 0);
    event.writeUInt32LE(WRITE, 16);
    event.writeUInt32LE((6 << 16) | 540, 24);
    event.write(`line ${number}.${i} `.padEnd(WRITE - 1, "abcdefgh ") + "\n", 28, "latin1");
    writer.event(BigInt(number) * 1000n + BigInt(i + 1), event);
  }
  return Buffer.from(writer.encode());
}

/** Feeds so many bytes of text as fast as they are taken. @param ecc parity bytes a block of the region. */
export async function measureRecord(lastwords: readonly string[], ecc: number, megabytes: number): Promise<RecordFigures> {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-bench-"));
  try {
    const tracefs = join(folder, "tracefs");
    const fifos = fakeTracefs(tracefs);
    // Memory, as a region is: on a disk every store would be waited for.
    const region = join(existsSync("/dev/shm") ? "/dev/shm" : folder, `lastwords-bench-${process.pid}`);
    writeFileSync(region, "");
    truncateSync(region, 256 * 1024);
    const [program, ...args] = lastwords;
    const started = performance.now();
    const backend = `ramoops:path=${region},mem_size=256K,record_size=0,console_size=0,ftrace_size=0,pmsg_size=0,tty_size=256K,ecc=${ecc}`;
    const child = spawn(program!, [...args, "record", "--no-banner", "-q", "--frontend", `tty:tracefs=${tracefs}`, "--backend", backend], {
      stdio: "inherit",
    });
    // Opening waits for the reader.
    const fds = fifos.map((fifo) => openSync(fifo, "w"));
    const first = page(0);
    writeSync(fds[0]!, first);
    const holds = (text: string): boolean => readFileSync(region).includes(text);
    while (!holds("line 0.0")) await new Promise((resolve) => setTimeout(resolve, 2));
    const firstByteSeconds = (performance.now() - started) / 1000;
    const pages = Math.ceil((megabytes * 1e6) / (WRITE * WRITES));
    // Made before the clock runs: it is the recorder that is measured.
    const chunks: Buffer[] = [];
    for (let number = 1; number <= pages; number += 16) {
      chunks.push(Buffer.concat(Array.from({ length: Math.min(16, pages + 1 - number) }, (_, i) => page(number + i))));
    }
    const begun = performance.now();
    for (const chunk of chunks) for (let done = 0; done < chunk.length;) done += writeSync(fds[0]!, chunk, done);
    while (!holds(`line ${pages}.${WRITES - 1} `)) await new Promise((resolve) => setTimeout(resolve, 2));
    const seconds = (performance.now() - begun) / 1000;
    const status = readFileSync(`/proc/${child.pid}/status`, "latin1");
    for (const fd of fds) closeSync(fd);
    child.kill("SIGTERM");
    await new Promise((resolve) => child.on("exit", resolve));
    return {
      rate: (pages * WRITE * WRITES) / seconds / 1e6,
      peakMB: (Number(/VmHWM:\s+(\d+)/.exec(status)![1]) * 1024) / 1e6,
      firstByteSeconds,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
