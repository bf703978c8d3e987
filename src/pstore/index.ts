export {
  type Compression,
  type EccReport,
  type PstoreRecord,
  recordFileBytes,
  recordFileName,
  type RecordTime,
  type RecordType,
} from "./record.ts";
