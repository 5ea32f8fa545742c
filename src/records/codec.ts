import { parseClickId, type ClickId } from '#platform/ids'

import type { ClickRecord, LoggedRecord } from './records.ts'

/** First byte of a payload: format and kind, so that a reader can skip records without parsing them. */
const TAG = { click: 0x43 /* C */, event: 0x45 /* E */, postback: 0x50 /* P */ } as const

/** Records are written one after the other into memory for some fifty of them, which none of them changes again: their length
 * need not be counted first in a pass of its own over the text, 0.08 of 0.54 µs.
 */
const SLAB_BYTES = 65_536
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
let slabUsed = 0

/** A record's bytes in the log: one tag byte, then JSON. */
export function encodeRecord(record: LoggedRecord): Buffer {
  const json = JSON.stringify(record)
  // UTF-8 takes at most three bytes for a unit of UTF-16.
  const bytesMax = 1 + json.length * 3
  if (bytesMax > SLAB_BYTES - slabUsed) {
    slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytesMax))
    slabUsed = 0
  }
  const start = slabUsed
  slab[start] = TAG[record.kind]
  slabUsed = start + 1 + slab.write(json, start + 1)
  return slab.subarray(start, slabUsed)
}

/** Whether a payload holds a click; reads one byte. */
export const isClickPayload = (payload: Buffer): boolean => payload[0] === TAG.click

/** How encodeRecord begins a click whose record names `kind` and `click_id` first. */
const CLICK_START = Buffer.from('C{"kind":"click","click_id":"')

/** The click id in a click's payload: 36 bytes at a known place where the record names `kind` and `click_id` first, as the
 * edge does, else by parsing.
 * @returns undefined where the payload is no click
 */
export function clickIdOf(payload: Buffer): ClickId | undefined {
  if (payload.length > CLICK_START.length && CLICK_START.compare(payload, 0, CLICK_START.length) === 0)
    return parseClickId(payload.toString('latin1', CLICK_START.length, CLICK_START.length + 36))
  if (!isClickPayload(payload)) return undefined
  const record = decodeRecord(payload)
  return record?.kind === 'click' ? parseClickId(record.click_id) : undefined
}

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
