import { liveLimits, type LiveLimits } from './limits.ts'
import type { LiveTable, LiveWindow } from './ask-live.ts'

/** Where a stream is written: the answer of the request. */
export type LiveSink = {
  /** @returns false: it holds as much as it should; write again after `onDrain` */
  readonly write: (text: string) => boolean
  readonly onDrain: (drained: () => void) => void
  readonly end: () => void
}

/** A window as it is sent: when it began, and what was counted. */
export type LiveCounts = { readonly at: string } & Readonly<Record<string, unknown>>
type Sample = { readonly total: number; readonly items: readonly object[] }

/** Writes messages to a reader. One who is slow loses rows, and of windows all states but the newest: what waits is bounded. */
export type Outbox = {
  readonly sendHello: (hello: object) => void
  readonly sendCounts: (window: LiveWindow, until: string, id: string, counts: readonly LiveCounts[]) => void
  readonly sendRows: (table: LiveTable, sample: Sample) => void
  /** The facts cannot be asked: the stream goes on when they can. */
  readonly sendTrouble: (code: string) => void
  readonly sendHeartbeat: () => void
  readonly sendEnd: (reason: string) => void
  /** Since when the reader takes nothing; undefined: it does. */
  readonly blockedSince: () => number | undefined
}

type Waiting = { until: string; id: string; readonly windows: Map<string, LiveCounts> }

/** @param now milliseconds of the clock */
export function createOutbox(sink: LiveSink, now: () => number, limits: LiveLimits = liveLimits): Outbox {
  const waiting = new Map<LiveWindow, Waiting>()
  let blockedSince: number | undefined
  let droppedRows = 0
  let droppedWindows = 0
  let isOver = false

  const write = (text: string): void => {
    if (!sink.write(text)) blockedSince ??= now()
  }

  function flush(): void {
    blockedSince = undefined
    if (isOver) return
    if (droppedRows + droppedWindows > 0) write(message('dropped', { rows: droppedRows, windows: droppedWindows }))
    droppedRows = droppedWindows = 0
    for (const [window, { until, id, windows }] of waiting)
      write(message('counts', { window, until, windows: [...windows.values()] }, id))
    waiting.clear()
  }
  sink.onDrain(flush)

  function keep(window: LiveWindow, until: string, id: string, counts: readonly LiveCounts[]): void {
    const kept = waiting.get(window) ?? { until, id, windows: new Map<string, LiveCounts>() }
    Object.assign(kept, { until, id })
    for (const one of counts) kept.windows.set(one.at, one)
    for (const at of kept.windows.keys()) {
      if (kept.windows.size <= limits.pendingWindowsMax) break
      kept.windows.delete(at)
      droppedWindows++
    }
    waiting.set(window, kept)
  }

  return {
    sendHello: (hello) => write(`retry: ${limits.retryMs}\n${message('hello', hello)}`),
    sendCounts: (window, until, id, counts) => {
      if (blockedSince !== undefined) keep(window, until, id, counts)
      else write(message('counts', { window, until, windows: counts }, id))
    },
    sendRows: (table, { total, items }) => {
      if (total === 0) return
      if (blockedSince !== undefined) droppedRows += items.length
      else write(message(table, { total, shown: items.length, share: round(items.length / total), items }))
    },
    sendTrouble: (code) => {
      if (blockedSince === undefined) write(message('trouble', { code }))
    },
    sendHeartbeat: () => {
      if (blockedSince === undefined) write(': still here\n\n')
    },
    sendEnd: (reason) => {
      isOver = true
      if (blockedSince === undefined) write(message('end', { reason }))
      sink.end()
    },
    blockedSince: () => blockedSince,
  }
}

const round = (share: number): number => Math.round(share * 1e6) / 1e6

/** JSON has no line breaks, so that a message is one line of data. */
const message = (event: string, data: object, id?: string): string =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
