export { kdumpFormat } from "./read.ts";
export { checkBitmap, FileBitmap } from "./bitmap.ts";
