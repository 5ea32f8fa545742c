import type { LogLines } from '#platform/log-lines'
import { listen, type Listening, type Pool } from '#platform/postgres'
import { supervise, type Loop } from '../supervise.ts'

/** Channel on which workers hear that something is due. */
const DELIVERY_CHANNEL = 'waypost_delivery'
/** PostgreSQL takes 7 999 bytes. */
const NOTICE_LENGTH_MAX = 7_900
/** A connection that broke is asked for anew this late. */
const LISTEN_AGAIN_MS = 250

/** Tells the owners of the endpoints when the transaction commits; PostgreSQL folds equal notices of one transaction into one. */
export const NOTIFY_OWNERS = `SELECT pg_notify('${DELIVERY_CHANNEL}', $1)`

/** @returns the text of a notice; empty where the list is too long for one: then all endpoints are looked at */
export function noticeOf(endpointIds: Iterable<string>): string {
  const text = [...new Set(endpointIds)].join('\n')
  return Buffer.byteLength(text) > NOTICE_LENGTH_MAX ? '' : text
}

export type NoticesOptions = {
  /** Of the loop, in log lines. */
  readonly name: string
  readonly pool: Pool
  readonly logLines: LogLines
  /** Called whenever LISTEN took effect and at each notice, with the endpoints that have something due; undefined: any may. */
  readonly onNotice: (endpointIds: readonly string[] | undefined) => void
  /** An identifier; left out: that of due deliveries. */
  readonly channel?: string
}

/** Listens on a connection of its own, and on another when that breaks, until stopped. */
export function listenForNotices({ name, pool, logLines, onNotice, channel = DELIVERY_CHANNEL }: NoticesOptions): Loop {
  let current: Listening | undefined
  let isStopping = false
  const loop = supervise(name, logLines, async () => {
    if (isStopping) return 0
    current = await listen(pool, channel, (text) => onNotice(text === '' ? undefined : text.split('\n')))
    onNotice(undefined)
    if (isStopping) current.stop()
    await current.broken
    return LISTEN_AGAIN_MS
  })
  return {
    wake: loop.wake,
    stop: () => {
      isStopping = true
      current?.stop()
      return loop.stop()
    },
  }
}
