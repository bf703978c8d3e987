/**
 * Names of Rust functions as a person writes them, without hashes: `_RNvMs3_NtCs…_11rust_binder7processNtB5_7Process10update_ref`
 * is `<rust_binder::process::Process>::update_ref`. The grammar is that of the Rust reference, "v0 symbol
 * format" (RFC 2603), and the older `_ZN…17h<hash>E`.
 */

/** Bounds against hostile names: the grammar has back references, which can nest without end. */
const MAX_DEPTH = 64;
const MAX_LENGTH = 1024;

/** Gives the readable form of a mangled Rust name; any other name, and one that does not parse, unchanged. */
export function demangleRustName(name: string): string {
  if (name.startsWith("_R")) {
    return new V0Name(name.slice(2)).read() ?? name;
  }
  if (name.startsWith("_ZN")) {
    return legacyName(name.slice(3)) ?? name;
  }
  return name;
}

function legacyName(mangled: string): string | undefined {
  const parts: string[] = [];
  let at = 0;
  while (mangled[at] !== "E") {
    const digits = /^\d{1,4}/.exec(mangled.slice(at, at + 4))?.[0];
    if (digits === undefined) {
      return undefined;
    }
    at += digits.length;
    const part = mangled.slice(at, at + Number(digits));
    if (part.length !== Number(digits) || parts.length >= MAX_DEPTH) {
      return undefined;
    }
    parts.push(part);
    at += part.length;
  }
  if (!/^h[0-9a-f]{16}$/.test(parts.at(-1) ?? "")) {
    // A C++ name, which the kernel does not have.
    return undefined;
  }
  return parts.slice(0, -1).join("::");
}

const BASIC_TYPES: Readonly<Record<string, string>> = {
  a: "i8",
  b: "bool",
  c: "char",
  d: "f64",
  e: "str",
  f: "f32",
  h: "u8",
  i: "isize",
  j: "usize",
  l: "i32",
  m: "u32",
  n: "i128",
  o: "u128",
  p: "_",
  s: "i16",
  t: "u16",
  u: "()",
  v: "...",
  x: "i64",
  y: "u64",
  z: "!",
};

class Malformed extends Error {}

/** One name under work. Methods are named after the grammar's rules. */
class V0Name {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #out = "";
  /** Nothing is written while an implementation's path, which the type behind it repeats, is read. */
  #silent = 0;
  #boundLifetimes = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): string | undefined {
    try {
      this.#path(true);
      return this.#out;
    } catch (error) {
      if (error instanceof Malformed) {
        return undefined;
      }
      throw error;
    }
  }

  #write(text: string): void {
    if (this.#silent === 0) {
      this.#out += text;
      if (this.#out.length > MAX_LENGTH) {
        throw new Malformed();
      }
    }
  }

  #take(): string {
    const char = this.#text[this.#at];
    if (char === undefined) {
      throw new Malformed();
    }
    this.#at++;
    return char;
  }

  #takeIf(char: string): boolean {
    if (this.#text[this.#at] !== char) {
      return false;
    }
    this.#at++;
    return true;
  }

  #nested(read: () => void): void {
    if (++this.#depth > MAX_DEPTH) {
      throw new Malformed();
    }
    read();
    this.#depth--;
  }

  /** `[0-9a-zA-Z]* _`, where `_` alone is 0 and `0_` is 1. */
  #base62(): number {
    if (this.#takeIf("_")) {
      return 0;
    }
    let value = 0;
    for (;;) {
      const char = this.#take();
      if (char === "_") {
        return value + 1;
      }
      const digit = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".indexOf(char);
      if (digit === -1) {
        throw new Malformed();
      }
      // A crate's hash has 64 bits. Nothing that is used as a number comes near the bound.
      value = Math.min(value * 62 + digit, Number.MAX_SAFE_INTEGER - 1);
    }
  }

  #optionalBase62(tag: string): number {
    return this.#takeIf(tag) ? this.#base62() + 1 : 0;
  }

  /** Goes on reading where the name was at `target`, which must lie before the reference. */
  #backReference(read: () => void): void {
    const from = this.#at - 1;
    const target = this.#base62();
    if (target >= from) {
      throw new Malformed();
    }
    if (this.#silent > 0) {
      return;
    }
    const resume = this.#at;
    this.#at = target;
    this.#nested(read);
    this.#at = resume;
  }

  #identifier(): { readonly name: string; readonly disambiguator: number } {
    const disambiguator = this.#optionalBase62("s");
    const punycode = this.#takeIf("u");
    const digits = /^(?:0|[1-9]\d{0,3})/.exec(this.#text.slice(this.#at, this.#at + 4))?.[0];
    if (digits === undefined) {
      throw new Malformed();
    }
    this.#at += digits.length;
    this.#takeIf("_");
    const name = this.#text.slice(this.#at, this.#at + Number(digits));
    if (name.length !== Number(digits)) {
      throw new Malformed();
    }
    this.#at += name.length;
    return { name: punycode ? `punycode{${name}}` : name, disambiguator };
  }

  #silently(read: () => void): void {
    this.#silent++;
    read();
    this.#silent--;
  }

  #path(inValue: boolean): void {
    this.#nested(() => {
      const tag = this.#take();
      switch (tag) {
        case "C": {
          this.#write(this.#identifier().name);
          break;
        }
        case "N": {
          const namespace = this.#take();
          if (!/[a-zA-Z]/.test(namespace)) {
            throw new Malformed();
          }
          this.#path(inValue);
          const { name, disambiguator } = this.#identifier();
          if (/[A-Z]/.test(namespace)) {
            const kind = namespace === "C" ? "closure" : namespace === "S" ? "shim" : namespace;
            this.#write(`::{${kind}${name === "" ? "" : `:${name}`}#${disambiguator}}`);
          } else if (name !== "") {
            this.#write(`::${name}`);
          }
          break;
        }
        case "M": {
          this.#implPath();
          this.#write("<");
          this.#type();
          this.#write(">");
          break;
        }
        case "X": {
          this.#implPath();
          this.#typeAsTrait();
          break;
        }
        case "Y": {
          this.#typeAsTrait();
          break;
        }
        case "I": {
          this.#path(inValue);
          this.#write(inValue ? "::<" : "<");
          this.#list(() => this.#genericArgument());
          this.#write(">");
          break;
        }
        case "B": {
          this.#backReference(() => this.#path(inValue));
          break;
        }
        default: {
          throw new Malformed();
        }
      }
    });
  }

  #implPath(): void {
    this.#silently(() => {
      this.#optionalBase62("s");
      this.#path(false);
    });
  }

  #typeAsTrait(): void {
    this.#write("<");
    this.#type();
    this.#write(" as ");
    this.#path(false);
    this.#write(">");
  }

  /** Items up to an `E`, with commas; returns how many there were. */
  #list(item: () => void, separator = ", "): number {
    let count = 0;
    while (!this.#takeIf("E")) {
      if (count > 0) {
        this.#write(separator);
      }
      item();
      count++;
    }
    return count;
  }

  #genericArgument(): void {
    if (this.#takeIf("L")) {
      this.#lifetime(this.#base62());
    } else if (this.#takeIf("K")) {
      this.#const();
    } else {
      this.#type();
    }
  }

  #lifetime(index: number): void {
    if (index === 0) {
      this.#write("'_");
    } else if (index <= this.#boundLifetimes) {
      this.#write(`'${lifetimeName(this.#boundLifetimes - index)}`);
    } else {
      throw new Malformed();
    }
  }

  #binder(read: () => void): void {
    const count = this.#optionalBase62("G");
    if (count > MAX_DEPTH) {
      throw new Malformed();
    }
    if (count > 0) {
      const names = Array.from({ length: count }, (_, index) => lifetimeName(this.#boundLifetimes + index));
      this.#write(`for<${names.map((name) => `'${name}`).join(", ")}> `);
    }
    this.#boundLifetimes += count;
    read();
    this.#boundLifetimes -= count;
  }

  #type(): void {
    this.#nested(() => {
      const tag = this.#take();
      const basic = BASIC_TYPES[tag];
      if (basic !== undefined) {
        this.#write(basic);
        return;
      }
      switch (tag) {
        case "A": {
          this.#write("[");
          this.#type();
          this.#write("; ");
          this.#const();
          this.#write("]");
          break;
        }
        case "S": {
          this.#write("[");
          this.#type();
          this.#write("]");
          break;
        }
        case "T": {
          this.#write("(");
          if (this.#list(() => this.#type()) === 1) {
            this.#write(",");
          }
          this.#write(")");
          break;
        }
        case "R":
        case "Q": {
          this.#write("&");
          if (this.#takeIf("L")) {
            const index = this.#base62();
            if (index > 0) {
              this.#lifetime(index);
              this.#write(" ");
            }
          }
          this.#write(tag === "Q" ? "mut " : "");
          this.#type();
          break;
        }
        case "P":
        case "O": {
          this.#write(tag === "P" ? "*const " : "*mut ");
          this.#type();
          break;
        }
        case "F": {
          this.#binder(() => this.#functionSignature());
          break;
        }
        case "D": {
          this.#write("dyn ");
          this.#binder(() => {
            this.#list(() => this.#dynTrait(), " + ");
          });
          if (!this.#takeIf("L")) {
            throw new Malformed();
          }
          const index = this.#base62();
          if (index > 0) {
            this.#write(" + ");
            this.#lifetime(index);
          }
          break;
        }
        case "B": {
          this.#backReference(() => this.#type());
          break;
        }
        default: {
          this.#at--;
          this.#path(false);
        }
      }
    });
  }

  #functionSignature(): void {
    if (this.#takeIf("U")) {
      this.#write("unsafe ");
    }
    if (this.#takeIf("K")) {
      const abi = this.#takeIf("C") ? "C" : this.#identifier().name.replaceAll("_", "-");
      this.#write(`extern "${abi}" `);
    }
    this.#write("fn(");
    this.#list(() => this.#type());
    this.#write(")");
    if (!this.#takeIf("u")) {
      this.#write(" -> ");
      this.#type();
    }
  }

  #dynTrait(): void {
    this.#path(false);
    while (this.#takeIf("p")) {
      this.#write(`<${this.#identifier().name} = `);
      this.#type();
      this.#write(">");
    }
  }

  #const(): void {
    this.#nested(() => {
      const tag = this.#take();
      if (tag === "B") {
        this.#backReference(() => this.#const());
        return;
      }
      if (tag === "p") {
        this.#write("_");
        return;
      }
      if (!/[abchijlmnostxy]/.test(tag)) {
        throw new Malformed();
      }
      const sign = this.#takeIf("n") ? "-" : "";
      const hex = /^[0-9a-f]{0,32}_/.exec(this.#text.slice(this.#at, this.#at + 33))?.[0];
      if (hex === undefined) {
        throw new Malformed();
      }
      this.#at += hex.length;
      const value = BigInt(`0x${hex.slice(0, -1) || "0"}`);
      if (tag === "b") {
        this.#write(value === 0n ? "false" : "true");
      } else if (tag === "c") {
        this.#write(`'\\u{${value.toString(16)}}'`);
      } else {
        this.#write(`${sign}${value}`);
      }
    });
  }
}

function lifetimeName(index: number): string {
  return index < 26 ? String.fromCharCode(97 + index) : `z${index}`;
}
