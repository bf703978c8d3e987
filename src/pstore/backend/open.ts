import { DumpError } from "../../bytes/index.ts";
import type { StreamName } from "../frontend/frontend.ts";
import type { Port } from "../port.ts";
import type { Backend } from "./backend.ts";
import { openBlk } from "./blk.ts";
import { openDirectory } from "./directory.ts";
import { openMemconsole } from "./memconsole.ts";
import { openRamoops } from "./ramoops.ts";
import { openUdp } from "./udp.ts";

/** Kinds of backends. */
export type BackendKind = "ramoops" | "pstore_blk" | "memconsole" | "directory" | "udp";

type Open = (port: Port, words: ReadonlyMap<string, string>, streams: ReadonlySet<StreamName>) => Backend;

const BACKENDS: Readonly<Record<BackendKind, Open>> = {
  ramoops: openRamoops,
  pstore_blk: openBlk,
  memconsole: openMemconsole,
  directory: openDirectory,
  udp: openUdp,
};

export const BACKEND_KINDS: readonly BackendKind[] = Object.keys(BACKENDS) as BackendKind[];

/** Opens a backend of that kind. @throws PortError where the system refuses, BAD_ARGUMENT where the words make no sense. */
export function openBackend(port: Port, kind: string, words: ReadonlyMap<string, string>, streams: ReadonlySet<StreamName>): Backend {
  if (!Object.hasOwn(BACKENDS, kind))
    throw new DumpError("BAD_ARGUMENT", `there is no backend ${kind}; there are ${BACKEND_KINDS.join(", ")}`);
  return BACKENDS[kind as BackendKind](port, words, streams);
}
