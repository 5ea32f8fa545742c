import { Agent, request } from 'undici'
import type { SeededRandom, Visit } from '#demo'
import type { Journal } from './journal.ts'

/** A client as the outside world is: it sends steadily whatever happens, tries events again until they are acknowledged,
 * sends some twice, and believes only what it was answered.
 */
export type LoadClient = {
  /** Starts nothing new, lets what is under way end. */
  readonly stop: () => Promise<void>
  readonly counts: () => LoadCounts
}

export type LoadCounts = {
  readonly clicks_sent: number
  readonly clicks_acknowledged: number
  readonly clicks_failed: number
  readonly events_acknowledged: number
  readonly postbacks_acknowledged: number
  readonly events_given_up: number
  /** Events and postbacks sent again although they had been acknowledged. */
  readonly repeats: number
}

export type LoadClientOptions = {
  readonly edgeUrl: string
  readonly nextVisit: () => Visit
  readonly random: SeededRandom
  readonly journal: Journal
  readonly clicksPerSecond: number
  readonly postbackSecret: string
}

const TICK_MS = 20
/** Requests at the same time; beyond that a click is not sent at all, as a browser that finds no server. */
const IN_FLIGHT_MAX = 200
const ATTEMPTS_MAX = 60
const RETRY_DELAY_MS = 250
const REQUEST_TIMEOUT_MS = 4_000

/** 202: the click is not indexed yet; the postback is durable and judged later. */
const ACCEPTED: ReadonlySet<number> = new Set([200, 202])

const SHARES = { reg: 0.35, deposit: 0.2, postback: 0.1, repeat: 0.1 }

export function startLoad(options: LoadClientOptions): LoadClient {
  const { journal, random } = options
  const agent = new Agent({ connections: 64, headersTimeout: REQUEST_TIMEOUT_MS, bodyTimeout: REQUEST_TIMEOUT_MS })
  const running = new Set<Promise<void>>()
  const counts = {
    clicks_sent: 0,
    clicks_acknowledged: 0,
    clicks_failed: 0,
    events_acknowledged: 0,
    postbacks_acknowledged: 0,
    events_given_up: 0,
    repeats: 0,
  }
  let isStopped = false

  const send = async (
    path: string,
    init: { method: 'GET' | 'POST'; headers: Record<string, string>; body?: string },
  ) => {
    try {
      const response = await request(`${options.edgeUrl}${path}`, { ...init, dispatcher: agent })
      await response.body.dump()
      return { status: response.statusCode, location: String(response.headers['location'] ?? '') }
    } catch {
      // Refused, reset or timed out: the client was promised nothing, which is all that matters here.
      return { status: 0, location: '' }
    }
  }

  /** Sends until it is acknowledged; then, now and then, once more. */
  const sendUntilAcknowledged = async (sendOnce: () => Promise<boolean>): Promise<boolean> => {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      if (await sendOnce()) {
        if (random.chance(SHARES.repeat)) {
          counts.repeats += 1
          await sendOnce()
        }
        return true
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS))
    }
    counts.events_given_up += 1
    return false
  }

  const sendEvent = async (visit: Visit, clickId: string, type: 'reg' | 'deposit'): Promise<void> => {
    const txid = `${type}-${clickId.slice(-12)}`
    const body = JSON.stringify({
      type,
      clickid: clickId,
      txid,
      event_id: random.uuid(),
      ...(type === 'deposit' ? { amount: '25.00', currency: 'USD' } : {}),
    })
    const headers = { ...visit.headers, 'content-type': 'application/json' }
    const isDone = await sendUntilAcknowledged(
      async () => (await send('/event', { method: 'POST', headers, body })).status === 204,
    )
    if (!isDone) return
    counts.events_acknowledged += 1
    journal.write({ kind: 'event', clickId, type, txid, at: Date.now() })
  }

  const sendPostback = async (clickId: string): Promise<void> => {
    const txid = `s2s-${clickId.slice(-12)}`
    const query = new URLSearchParams({
      clickid: clickId,
      txid,
      status: 'approved',
      goal: 'sale',
      secret: options.postbackSecret,
    })
    const isDone = await sendUntilAcknowledged(async () =>
      ACCEPTED.has((await send(`/postback?${query.toString()}`, { method: 'GET', headers: {} })).status),
    )
    if (!isDone) return
    counts.postbacks_acknowledged += 1
    journal.write({ kind: 'postback', clickId, txid, at: Date.now() })
  }

  const makeVisit = async (): Promise<void> => {
    const visit = options.nextVisit()
    counts.clicks_sent += 1
    const answer = await send(visit.path, { method: 'GET', headers: { ...visit.headers } })
    const clickId = answer.status === 302 ? new URL(answer.location).searchParams.get('clickid') : null
    if (clickId === null) {
      counts.clicks_failed += 1
      return
    }
    counts.clicks_acknowledged += 1
    journal.write({ kind: 'click', clickId, at: Date.now() })
    if (random.chance(SHARES.reg)) await sendEvent(visit, clickId, 'reg')
    if (random.chance(SHARES.deposit)) await sendEvent(visit, clickId, 'deposit')
    if (random.chance(SHARES.postback)) await sendPostback(clickId)
  }

  const startedAt = performance.now()
  let due = 0
  const ticks = setInterval(() => {
    const dueNow = ((performance.now() - startedAt) / 1000) * options.clicksPerSecond
    for (; due < dueNow && !isStopped; due++) {
      if (running.size >= IN_FLIGHT_MAX) continue
      const visit = makeVisit().finally(() => running.delete(visit))
      running.add(visit)
    }
    void journal.flush()
  }, TICK_MS)

  return {
    counts: () => ({ ...counts }),
    stop: async () => {
      isStopped = true
      clearInterval(ticks)
      await Promise.all(running)
      await agent.close()
    },
  }
}
