import { periodClock } from '#caps'
import type { Pool } from '#platform/postgres'
import type { PostbackEndpoint } from '#routing'
import { ensureQuotas, giveQuotaBack, noticeUsedQuota, takeQuota, type QuotaPeriod } from './quota-store.ts'

/** Part of a quota that a worker takes at once, and the most of it. A larger block asks the database less often, and a crash wastes more. */
const BLOCK_SHARE = 1 / 20
const BLOCK_MAX = 1_000
/** A block that nobody used for so long goes back, so that other workers may have it. */
const IDLE_MS = 10_000
/** A quota that was used up is asked for again after this: another worker may have given something back. */
const ASK_AGAIN_MS = 10_000

/** How many tries may start now. */
export type QuotaRoom =
  | { readonly kind: 'room'; readonly count: number }
  /** The next block is on its way. */
  | { readonly kind: 'asked' }
  | { readonly kind: 'used'; readonly untilMs: number }

type Quota = NonNullable<PostbackEndpoint['quota']>

type Page = {
  /** The same, in the newest version of the configuration. */
  quota: Quota
  readonly period: QuotaPeriod
  readonly endMs: number
  inHand: number
  isAsked: boolean
  /** When the table had nothing more; undefined: it may have. */
  usedUpAtMs: number | undefined
  /** That it is used up is on record. */
  isNoticed: boolean
  touchedAtMs: number
}

export type QuotaBookOptions = {
  readonly pool: Pool
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number
  /** A block came in, or nothing is left. */
  readonly onAnswer: () => void
  readonly onError: (error: unknown) => void
}

/** Quotas of the endpoints that this worker sends to.
 *
 * Blocks are taken from the table before they are used, so the sum over all workers never passes the quota, also not after a
 * crash; a crash wastes the rest of a block: at most a twentieth of the quota, and at most 1 000 tries, until the period ends.
 */
export class QuotaBook {
  readonly #options: QuotaBookOptions
  readonly #pages = new Map<string, Page>()
  readonly #ensured = new Set<string>()
  readonly #wishes = new Map<string, Page>()
  #asking: Promise<void> | undefined

  constructor(options: QuotaBookOptions) {
    this.#options = options
  }

  roomOf(endpointId: string, quota: Quota): QuotaRoom {
    const nowMs = this.#options.nowMs()
    const page = this.#pageOf(endpointId, quota, nowMs)
    if (page.inHand <= blockOf(quota) / 4) this.#ask(endpointId, page, nowMs)
    if (page.inHand > 0) return { kind: 'room', count: page.inHand }
    return page.usedUpAtMs === undefined ? { kind: 'asked' } : { kind: 'used', untilMs: page.endMs }
  }

  /** A try starts. @param messages how many are in its request */
  use(endpointId: string, messages = 1): void {
    const page = this.#pages.get(endpointId)
    if (page === undefined) return
    page.inHand -= messages
    page.touchedAtMs = this.#options.nowMs()
  }

  /** Gives blocks back that nobody uses. */
  async tend(): Promise<void> {
    const nowMs = this.#options.nowMs()
    await this.#giveBack([...this.#pages].filter(([, page]) => nowMs - page.touchedAtMs >= IDLE_MS))
  }

  /** Gives everything back. */
  async close(): Promise<void> {
    await this.#asking
    await this.#giveBack([...this.#pages])
  }

  #pageOf(endpointId: string, quota: Quota, nowMs: number): Page {
    const known = this.#pages.get(endpointId)
    if (known?.quota === quota && nowMs < known.endMs) return known
    const { startMs, endMs } = periodClock(quota.per, quota.zone)(nowMs)
    if (known !== undefined && known.period.startMs === startMs && isSame(known.quota, quota)) {
      known.quota = quota
      return known
    }
    const period = { endpointId, per: quota.per, zone: quota.zone, startMs, count: quota.count }
    const page: Page = {
      ...{ quota, period, endMs, inHand: 0, isAsked: false },
      ...{ usedUpAtMs: undefined, isNoticed: false, touchedAtMs: nowMs },
    }
    this.#pages.set(endpointId, page)
    return page
  }

  #ask(endpointId: string, page: Page, nowMs: number): void {
    const isUsedUp = page.usedUpAtMs !== undefined && nowMs - page.usedUpAtMs < ASK_AGAIN_MS
    if (page.isAsked || isUsedUp) return
    page.isAsked = true
    this.#wishes.set(endpointId, page)
    this.#asking ??= this.#askAll().finally(() => (this.#asking = undefined))
  }

  /** One statement at a time: wishes of the meantime share the next. */
  async #askAll(): Promise<void> {
    // The wishes of one round of the worker come together.
    await Promise.resolve()
    while (this.#wishes.size > 0) {
      const asked = [...this.#wishes]
      this.#wishes.clear()
      try {
        await this.#takeBlocks(asked)
      } catch (error) {
        for (const [, page] of asked) page.isAsked = false
        this.#options.onError(error)
      }
    }
    this.#options.onAnswer()
  }

  async #takeBlocks(asked: readonly [string, Page][]): Promise<void> {
    const fresh = asked.map(([, { period }]) => period).filter((period) => !this.#ensured.has(keyOf(period)))
    if (fresh.length > 0) await ensureQuotas(this.#options.pool, fresh)
    for (const period of fresh) this.#ensured.add(keyOf(period))
    const wishes = asked.map(([, { period, quota }]) => ({ period, wanted: blockOf(quota) }))
    const granted = await takeQuota(this.#options.pool, wishes)
    for (const [endpointId, page] of asked) {
      const count = granted.get(endpointId) ?? 0
      page.inHand += count
      page.isAsked = false
      page.usedUpAtMs = count === 0 ? this.#options.nowMs() : undefined
    }
    await this.#noticeUsed(asked.map(([, page]) => page).filter((page) => page.usedUpAtMs !== undefined))
  }

  /** Once for each period and worker; the database keeps it to one of them. */
  async #noticeUsed(pages: readonly Page[]): Promise<void> {
    for (const page of pages.filter(({ isNoticed }) => !isNoticed)) {
      await noticeUsedQuota(this.#options.pool, page.period)
      page.isNoticed = true
    }
  }

  async #giveBack(pages: readonly [string, Page][]): Promise<void> {
    const held = pages.filter(([, page]) => page.inHand > 0 && !page.isAsked)
    if (held.length === 0) return
    const unused = held.map(([, { period, inHand }]) => ({ period, count: inHand }))
    for (const [, page] of held) page.inHand = 0
    await giveQuotaBack(this.#options.pool, unused)
  }
}

const blockOf = ({ count }: Quota): number => Math.max(1, Math.min(BLOCK_MAX, Math.floor(count * BLOCK_SHARE)))
const keyOf = ({ endpointId, per, zone }: QuotaPeriod): string => `${endpointId} ${per} ${zone}`
const isSame = (a: Quota, b: Quota): boolean => a.count === b.count && a.per === b.per && a.zone === b.zone
