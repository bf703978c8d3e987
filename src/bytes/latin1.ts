/*
 * Text and bytes, one character a byte, with nothing but the language: the recorder runs where there is no Buffer and
 * no TextDecoder.
 */

/** Longest argument list that is safe to spread on every engine. */
const PIECE = 4096;

/** Every byte as the character of that number, NULs too. */
export function decodeLatin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += PIECE) text += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  return text;
}

/** Every character as the byte of its number, modulo 256. */
export function encodeLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
