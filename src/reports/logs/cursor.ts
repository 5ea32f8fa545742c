import { RANGE_DAYS_MAX, type TimeRange } from '../time-range.ts'
import type { FactsLog } from './log-columns.ts'
import { logOrders, type LogOrder } from './parse-log.ts'
import type { LogPlace } from './read-log.ts'

/** What the next page needs besides the question: the range of the first page, which `from` and `to` may leave open, and the place. */
export type LogCursor = {
  readonly log: FactsLog
  readonly range: TimeRange
  readonly order: LogOrder
  readonly place: LogPlace
}

/** Opaque for the caller, so that the order behind it can change. */
export const encodeLogCursor = ({ log, range, order, place }: LogCursor): string =>
  Buffer.from(
    JSON.stringify([log, order, range.fromMs, range.toMs, place.atMs, place.id, place.partition, place.offset]),
  ).toString('base64url')

const DAY_MS = 86_400_000

/** @returns undefined: it is no cursor of ours, or one of another log */
export function decodeLogCursor(log: FactsLog, text: string): LogCursor | undefined {
  const parts = readJson(Buffer.from(text, 'base64url').toString('utf8'))
  if (!Array.isArray(parts) || parts.length !== 8 || parts[0] !== log) return undefined
  const [, order, fromMs, toMs, atMs, id, partition, offset] = parts as readonly unknown[]
  const known = logOrders.find((one) => one === order)
  const times = [fromMs, toMs, atMs]
  if (known === undefined || !times.every((ms) => Number.isSafeInteger(ms) && Math.abs(ms as number) < 1e14))
    return undefined
  // The limit of a range holds for whoever writes a cursor by hand, too.
  const lengthMs = (toMs as number) - (fromMs as number)
  if (lengthMs <= 0 || lengthMs > RANGE_DAYS_MAX * DAY_MS) return undefined
  if (typeof id !== 'string' || typeof partition !== 'string' || typeof offset !== 'string') return undefined
  if (id.length > 255 || partition.length > 63 || !/^\d{1,20}$/.test(offset)) return undefined
  return {
    log,
    order: known,
    range: { fromMs: fromMs as number, toMs: toMs as number },
    place: { atMs: atMs as number, id, partition, offset },
  }
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not even JSON: no cursor of ours.
    return undefined
  }
}
