export { elfFormat } from "./read.ts";
export { MAX_NOTE_AREA, NT_VMCOREDD, parseNotes, vmcoreinfoOf } from "./note.ts";
