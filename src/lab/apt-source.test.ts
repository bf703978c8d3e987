import { describe, expect, test } from "vitest";
import { deriveSuite, ownSuite, parseDeb822Sources, parseListSources } from "./apt-source.ts";
import { LabError } from "./error.ts";

const DEB822 = `Types: deb
# an old mirror
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
`;

describe("parseDeb822Sources", () => {
  test("reads entries, leaves out disabled ones and sources", () => {
    const sources = parseDeb822Sources(DEB822);
    expect(sources.map((source) => source.suites)).toEqual([["bookworm", "bookworm-updates"], ["bookworm-security"]]);
    expect(sources[0]?.components).toEqual(["main", "contrib"]);
  });

  test("keeps a key that stands in the entry itself", () => {
    expect(parseDeb822Sources(DEB822)[1]?.fields.get("Signed-By")).toBe("\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc");
  });
});

test("parseListSources reads options and comments", () => {
  const text =
    "# deb http://no.example x main\ndeb [arch=amd64 signed-by=/k.gpg] http://m.example/debian sid main # here\ndeb-src http://m.example/debian sid main\n";
  const [source, ...more] = parseListSources(text);
  expect(more).toEqual([]);
  expect(source).toMatchObject({ uris: ["http://m.example/debian"], suites: ["sid"], components: ["main"] });
  expect([...(source?.fields ?? [])]).toEqual([["Signed-By", "/k.gpg"]]);
});

describe("deriveSuite", () => {
  test("takes mirror and keys of the machine, with security updates", () => {
    const text = deriveSuite(parseDeb822Sources(DEB822), "trixie");
    expect(text).toBe(`Types: deb
URIs: http://mirror.example/debian
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: trixie-security
Components: main
Signed-By: 
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
`);
  });

  test("knows that sid has no security suite", () => {
    expect(deriveSuite(parseDeb822Sources(DEB822), "sid")).not.toContain("sid-security");
  });

  test("is not led astray by another vendor under a suite of Debian's name", () => {
    const vendor = parseListSources("deb https://vendor.example bookworm main\n");
    expect(deriveSuite([...vendor, ...parseDeb822Sources(DEB822)], "sid")).toContain("http://mirror.example/debian\n");
  });

  test("says so when the machine is not Debian's", () => {
    const ubuntu = parseListSources("deb http://archive.example/ubuntu noble main\n");
    expect(() => deriveSuite(ubuntu, "sid")).toThrow(LabError);
    expect(() => deriveSuite(ubuntu, "sid")).toThrow(/no entry of \/etc\/apt is Debian's archive/);
  });
});

test("ownSuite is the suite of the machine", () => {
  expect(ownSuite(parseDeb822Sources(DEB822))).toBe("bookworm");
});
