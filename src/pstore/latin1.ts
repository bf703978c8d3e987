export { decodeLatin1, encodeLatin1 } from "../bytes/latin1.ts";
