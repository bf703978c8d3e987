let collect: (() => void) | undefined;

/** A full garbage collection of this thread's heap, now. V8 does one when it sees fit; at times that is too late. */
export function collectGarbage(): void {
  if (!collect) {
    process.getBuiltinModule("node:v8").setFlagsFromString("--expose-gc");
    collect = process.getBuiltinModule("node:vm").runInNewContext("gc") as () => void;
  }
  collect();
}
