export { FlattenedSource, isFlattened } from "./read.ts";
