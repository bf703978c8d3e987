/** Writes efivarfs files as a kernel with efi-pstore leaves them; knows nothing of the reader. */

export interface EfiVariableRecipe {
  /** Without GUID. */
  readonly name: string;
  readonly data: Uint8Array;
  /** 7 by default. */
  readonly attributes?: number;
  /** The kernel's own by default; "" for none. */
  readonly guid?: string;
}

export function efiVariable({ name, data, attributes = 7, guid = "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0" }: EfiVariableRecipe): {
  name: string;
  bytes: Uint8Array;
} {
  const bytes = Buffer.alloc(4 + data.length);
  bytes.writeUInt32LE(attributes, 0);
  bytes.set(data, 4);
  return { name: guid === "" ? name : `${name}-${guid}`, bytes: new Uint8Array(bytes) };
}
