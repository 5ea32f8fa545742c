import { WaypostError } from '#platform/errors'
import type { LogLines } from '#platform/log-lines'
import type { CompiledQuery } from '#reports'

import type { LiveQuestion } from './ask-live.ts'
import { liveLimits, type LiveLimits } from './limits.ts'
import { createLiveStream, type AskLive, type LiveStream } from './live-stream.ts'
import { createOutbox, type LiveSink, type Outbox } from './outbox.ts'

/** Why a stream ends. */
export const liveEndReasons = {
  key_revoked: 'The API key was ended.',
  key_unconfirmed: 'PostgreSQL did not say for a minute whether the API key still holds.',
  reader_too_slow: 'The reader took nothing for a minute.',
  server_stops: 'The process stops; connect again.',
} as const
export type LiveEndReason = keyof typeof liveEndReasons

export type LiveHubOptions = {
  readonly ask: AskLive
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Which of these API keys still hold. */
  readonly findActiveKeys: (apiKeyIds: readonly string[]) => Promise<ReadonlySet<string>>
  readonly logLines: LogLines
  /** For tests; production uses liveLimits. */
  readonly limits?: Partial<LiveLimits>
}

export type WantedStream = {
  readonly question: LiveQuestion
  readonly apiKeyId: string
  readonly sink: LiveSink
  readonly resumeMs: number | undefined
  readonly hello: object
}

/** The live streams of this process. Without a stream it does nothing: no timer, no query. */
export type LiveHub = {
  /** Why no further stream may begin; undefined: one may. */
  readonly refusal: (apiKeyId: string) => string | undefined
  /** @returns ends the stream without a word, because the reader is gone */
  readonly open: (wanted: WantedStream) => () => void
  /** One look for every stream; resolves when all have looked. The hub calls it by itself once a second. */
  readonly tick: () => Promise<void>
  readonly streamCount: () => number
  /** Ends every stream. */
  readonly stop: () => void
}

type Open = {
  readonly apiKeyId: string
  readonly stream: LiveStream
  readonly outbox: Outbox
  looking: Promise<void> | undefined
  isFailing: boolean
  confirmedMs: number
}

export function createLiveHub({ ask, now, findActiveKeys, logLines, limits: changed }: LiveHubOptions): LiveHub {
  const limits: LiveLimits = { ...liveLimits, ...changed }
  const streams = new Set<Open>()
  const askOnce = askOneByOne(ask)
  let timer: NodeJS.Timeout | undefined
  let ticks = 0
  let isStopped = false

  function remove(open: Open): void {
    streams.delete(open)
    if (streams.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  function end(open: Open, reason: LiveEndReason): void {
    remove(open)
    open.outbox.sendEnd(reason)
  }

  async function lookNow(open: Open, nowMs: number): Promise<void> {
    try {
      await open.stream.look(nowMs, ticks % limits.minutePollTicks === 0)
      open.isFailing = false
    } catch (error) {
      if (!open.isFailing) logLines.warn({ err: error }, 'a live stream could not look at the facts')
      if (!open.isFailing) open.outbox.sendTrouble(error instanceof WaypostError ? error.code : 'internal')
      open.isFailing = true
    } finally {
      open.looking = undefined
    }
  }

  /** A look that is still under way is not begun again. */
  const look = (open: Open, nowMs: number): Promise<void> => (open.looking ??= lookNow(open, nowMs))

  async function checkKeys(nowMs: number): Promise<void> {
    const asked = [...streams]
    const active = await findActiveKeys([...new Set(asked.map(({ apiKeyId }) => apiKeyId))]).catch(() => undefined)
    for (const open of asked) {
      if (!streams.has(open)) continue
      if (active?.has(open.apiKeyId) === true) open.confirmedMs = nowMs
      else if (active !== undefined) end(open, 'key_revoked')
      else if (nowMs - open.confirmedMs > limits.unconfirmedKeyMsMax) end(open, 'key_unconfirmed')
    }
  }

  async function tick(): Promise<void> {
    ticks++
    const nowMs = now()
    askOnce.forget()
    for (const open of streams) {
      const blockedSince = open.outbox.blockedSince()
      if (blockedSince !== undefined && nowMs - blockedSince > limits.slowReaderMsMax) end(open, 'reader_too_slow')
      else if (ticks % limits.heartbeatTicks === 0) open.outbox.sendHeartbeat()
    }
    const checked = ticks % limits.keyCheckTicks === 0 ? checkKeys(nowMs) : undefined
    await Promise.all([checked, ...[...streams].map((open) => look(open, nowMs))])
  }

  return {
    refusal: (apiKeyId) => {
      if (isStopped) return 'The process stops.'
      if (streams.size >= limits.streamsMax)
        return `This process has ${limits.streamsMax} live streams, and no more at a time.`
      const own = [...streams].filter((open) => open.apiKeyId === apiKeyId).length
      return own < limits.streamsPerKeyMax
        ? undefined
        : `This API key has ${own} live streams, and no more at a time: close one.`
    },
    open: ({ question, apiKeyId, sink, resumeMs, hello }) => {
      const outbox = createOutbox(sink, now, limits)
      const stream = createLiveStream({ question, ask: askOnce.ask, outbox, limits, resumeMs })
      const open: Open = { apiKeyId, stream, outbox, looking: undefined, isFailing: false, confirmedMs: now() }
      streams.add(open)
      timer ??= setInterval(() => void tick(), limits.pollMs).unref()
      outbox.sendHello(hello)
      void look(open, now())
      return () => remove(open)
    },
    tick,
    streamCount: () => streams.size,
    stop: () => {
      isStopped = true
      for (const open of streams) end(open, 'server_stops')
    },
  }
}

/** Live questions go one after the other: however many look, reports keep the other connections of the facts. The same question of
 * the same moment is asked once: a dashboard that ten people have open costs one.
 */
function askOneByOne(ask: AskLive): { readonly ask: AskLive; readonly forget: () => void } {
  let asked = new Map<string, ReturnType<AskLive>>()
  let last: Promise<unknown> = Promise.resolve()
  return {
    ask: (query: CompiledQuery) => {
      const key = JSON.stringify([query.sql, query.params])
      const known = asked.get(key)
      if (known !== undefined) return known
      const answer = last.then(() => ask(query))
      last = answer.catch(() => undefined)
      asked.set(key, answer)
      return answer
    },
    forget: () => void (asked = new Map()),
  }
}
