import type { ClickRecord, LoggedRecord } from './records.ts'

/** First byte of a payload: format and kind, so that a reader can skip records without parsing them. */
const TAG = { click: 0x43 /* C */, event: 0x45 /* E */, postback: 0x50 /* P */ } as const

/** A record's bytes in the log: one tag byte, then JSON. */
export function encodeRecord(record: LoggedRecord): Buffer {
  const json = JSON.stringify(record)
  const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(json))
  bytes[0] = TAG[record.kind]
  bytes.write(json, 1)
  return bytes
}

/** Whether a payload holds a click; reads one byte. */
export const isClickPayload = (payload: Buffer): boolean => payload[0] === TAG.click

/** A payload's record.
 * @returns undefined where the bytes are no record of ours: the caller reports the position and goes on
 */
export function decodeRecord(payload: Buffer): LoggedRecord | undefined {
  const tag = payload[0]
  if (tag !== TAG.click && tag !== TAG.event && tag !== TAG.postback) return undefined
  try {
    return JSON.parse(payload.toString('utf8', 1)) as LoggedRecord
  } catch {
    return undefined
  }
}

/** A click payload from the click index. @throws {SyntaxError} damaged bytes */
export const decodeClick = (payload: Buffer): ClickRecord => JSON.parse(payload.toString('utf8', 1)) as ClickRecord

/** Identity of an event or postback for deduplication: (click id, type, transaction id or '-').
 * @see the product's first document, §6.2 "Idempotency"
 */
export const eventIdentity = (clickId: string, type: string, txid: string | undefined): string =>
  `${clickId}|${type}|${txid ?? '-'}`
