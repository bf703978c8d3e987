import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DumpError } from "../bytes/index.ts";
import type { Port } from "./port.ts";
import { defaultFrontends, parseConfigured, parseRecordConfig } from "./record-config.ts";

describe("parseConfigured", () => {
  it("takes a name, and words behind a colon or a space", () => {
    expect(parseConfigured("frontend", "tty")).toEqual({ name: "tty", words: new Map() });
    const words = new Map([
      ["mem_address", "0x6000000"],
      ["mem_size", "1M"],
    ]);
    for (const text of [
      "ramoops:mem_address=0x6000000,mem_size=1M",
      "ramoops mem-address=0x6000000 mem_size=1M",
      "ramoops:mem_address=0x6000000  ,mem_size=1M",
    ])
      expect(parseConfigured("backend", text)).toEqual({ name: "ramoops", words });
    expect(parseConfigured("backend", "directory:path=/a:b=c").words.get("path")).toBe("/a:b=c");
    expect(parseConfigured("backend", "udp:host=::1", "somewhere")).toMatchObject({
      where: "somewhere",
      words: new Map([["host", "::1"]]),
    });
  });

  it.each([
    ["frontend", "ttyy", "there is no frontend 'ttyy'; there are kmsg, console, tty, pmsg, vmcore"],
    ["frontend", "", "there is no frontend ''"],
    ["backend", "tty", "there is no backend 'tty'; there are ramoops, pstore_blk, memconsole, directory, udp"],
    ["backend", "constructor", "there is no backend 'constructor'"],
    ["backend", "directory:/var/log", "'/var/log' is no word=value"],
    ["backend", "directory:=x", "'=x' is no word=value"],
  ] as const)("%s %j: %s", (kind, text, message) => {
    expect(() => parseConfigured(kind, text)).toThrow(message);
  });
});

describe("parseRecordConfig", () => {
  it("reads lines, remarks and Windows' line ends", () => {
    const config = parseRecordConfig(
      "# all of it\r\n\nfrontend tty buffer=2M # much\r\n  frontend console:since=now\nbackend directory path=/var/log/a#b\nbanner no\n",
      "record.conf",
    );
    expect(config).toEqual({
      frontends: [
        { name: "tty", words: new Map([["buffer", "2M"]]), where: "record.conf, line 3" },
        { name: "console", words: new Map([["since", "now"]]), where: "record.conf, line 4" },
      ],
      backends: [{ name: "directory", words: new Map([["path", "/var/log/a#b"]]), where: "record.conf, line 5" }],
      banner: false,
    });
    expect(parseRecordConfig("", "x")).toEqual({ frontends: [], backends: [], banner: true });
  });

  it.each([
    ["frontend", "x, line 1: there is no frontend ''"],
    ["\n\nbackend disk path=/x", "x, line 3: there is no backend 'disk'"],
    ["backend directory path", "x, line 1: 'path' is no word=value"],
    ["banner maybe", "x, line 1: 'banner maybe' is neither 'frontend NAME ...', 'backend NAME ...' nor 'banner yes|no'"],
    ["Backend directory", "x, line 1: 'Backend directory' is neither"],
  ])("%j: %s", (text, message) => {
    expect(() => parseRecordConfig(text, "x")).toThrow(message);
  });

  it("stands any text, with no other error than that", () => {
    const part = fc.constantFrom(
      "frontend ",
      "backend ",
      "banner ",
      "yes",
      "tty",
      "udp",
      ":",
      "=",
      ",",
      "#",
      "\n",
      " ",
      "\r",
      "host",
      "\0",
      "ü",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part).map((parts) => parts.join("")),
        ),
        (text) => {
          try {
            parseRecordConfig(text, "x");
          } catch (error) {
            expect(error).toBeInstanceOf(DumpError);
            expect((error as DumpError).code).toBe("BAD_ARGUMENT");
            expect((error as DumpError).message).toMatch(/^x, line \d+: /);
          }
        },
      ),
    );
  });
});

it("records the crashed kernel's log in a capture kernel only", () => {
  const port = {} as Port;
  expect(defaultFrontends(port, () => false).map(({ name }) => name)).toEqual(["console", "tty", "pmsg"]);
  expect(defaultFrontends(port, () => true).map(({ name }) => name)).toEqual(["console", "tty", "pmsg", "vmcore"]);
});
