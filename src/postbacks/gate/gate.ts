import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { PostbackEndpoint } from '#routing'
import { listenForNotices } from '../queue/notices.ts'
import type { PausedSubjects } from '../queue/held.ts'
import type { Completion } from '../queue/queue.ts'
import type { WaitReason } from '../reasons.ts'
import { supervise } from '../supervise.ts'
import { disabledReasonOf, pauseOf, readClosures, type Closures } from './closures.ts'
import { HealthBook, healthSignOf, type HealthNews } from './health-book.ts'
import { GATE_CHANNEL } from './pauses.ts'
import { QuotaBook } from './quota-book.ts'
import { PROBE_HOURS, recordHealth } from './record-health.ts'

/** A notice can be lost with its connection: what was paused is found by looking within this time. */
const LOOK_MS = 1_000
/** What a crash forgets of the health of endpoints: what happened in this time. */
const HEALTH_MS = 2_000
const TEND_MS = 10_000

/** Whether an endpoint may be sent to now. */
export type Admission =
  | {
      readonly kind: 'open'
      /** Messages that may be sent. */
      readonly countMax: number
    }
  | {
      readonly kind: 'closed'
      /** Undefined: it is not known yet. */
      readonly reason: WaitReason | undefined
      /** When time alone opens it, milliseconds since the epoch; undefined: onChange tells. */
      readonly untilMs: number | undefined
    }

/** Stands between the queue and the receivers: pauses by hand, disabled endpoints and quotas. In memory, so that asking costs nothing; what it
 * decides by is in PostgreSQL, so that a restart changes nothing.
 */
export type Gate = {
  readonly admit: (endpoint: PostbackEndpoint) => Admission
  /** Affiliates and advertisers about whom nothing may be sent, as far as is known; admit answers for endpoints alone. */
  readonly paused: () => PausedSubjects
  /** A try starts, as admitted.
   * @param messages how many are in its request; default 1
   * @returns whether it asks if a disabled receiver is back, and uses up nothing where it fails
   */
  readonly start: (endpoint: PostbackEndpoint, messages?: number) => { readonly isProbe: boolean }
  /** Tries that are on record. */
  readonly noteEnds: (completions: readonly Completion[]) => void
  readonly stop: () => Promise<void>
}

export type GateOptions = {
  readonly pool: Pool
  readonly logLines: LogLines
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number
  /** Something was opened or closed. */
  readonly onChange: () => void
  /** How often news of endpoints are written down; default 2 000. */
  readonly healthIntervalMs?: number
}

const NOBODY: PausedSubjects = { affiliate: new Set(), advertiser: new Set() }
const CLOSED_YET: Admission = { kind: 'closed', reason: undefined, untilMs: undefined }
const OPEN: Admission = { kind: 'open', countMax: Number.POSITIVE_INFINITY }
const PROBE: Admission = { kind: 'open', countMax: 1 }

/** Opens the gate. Until the database has told what is paused, nothing may be sent; while it is away, what it told last holds. */
export function openGate(options: GateOptions): Gate {
  const { pool, logLines, nowMs, onChange } = options
  const health = new HealthBook()
  const quotas = new QuotaBook({
    ...{ pool, nowMs, onAnswer: onChange },
    onError: (error) => logLines.warn({ error }, 'a quota cannot be asked for; its endpoints wait'),
  })
  let closures: Closures | undefined
  let writing: ReadonlyMap<string, HealthNews> = new Map()
  /** When this worker last let a delivery ask a disabled receiver: the row says it only after the answer. */
  const probedAt = new Map<string, number>()

  let looks = 0
  let newestLook = 0
  const look = async (): Promise<void> => {
    const number = (looks += 1)
    const found = await readClosures(pool, nowMs)
    // One that was asked later was answered sooner.
    if (number < newestLook) return
    newestLook = number
    const before = closures
    closures = found
    for (const endpointId of probedAt.keys()) if (!closures.states.has(endpointId)) probedAt.delete(endpointId)
    if (before === undefined || isOpened(before, closures) || isSubjectPaused(before, closures)) onChange()
  }
  const writeHealth = async (): Promise<void> => {
    writing = health.take()
    if (writing.size === 0) return
    try {
      for (const { kind, endpointId, details } of await recordHealth(pool, writing))
        logLines.warn({ notice: kind, endpoint_id: endpointId, ...details }, 'notice')
    } catch (error) {
      health.putBack(writing)
      throw error
    }
    await look()
    writing = new Map()
  }
  const probeAtOf = (endpointId: string, recordedMs: number | undefined): number | undefined =>
    recordedMs === undefined
      ? undefined
      : Math.max(recordedMs, (probedAt.get(endpointId) ?? Number.NEGATIVE_INFINITY) + PROBE_HOURS * 3_600_000)

  const admit = (endpoint: PostbackEndpoint): Admission => {
    if (closures === undefined) return CLOSED_YET
    const paused = pauseOf(closures, endpoint)
    if (paused !== undefined) return { kind: 'closed', reason: paused, untilMs: undefined }
    const state = closures.states.get(endpoint.endpoint_id)
    const disabled = state && disabledReasonOf(state)
    const probeAtMs = state && probeAtOf(endpoint.endpoint_id, state.probeAtMs)
    if (disabled !== undefined && (probeAtMs === undefined || probeAtMs > nowMs()))
      return { kind: 'closed', reason: disabled, untilMs: probeAtMs }
    if (endpoint.quota === undefined) return disabled === undefined ? OPEN : PROBE
    const room = quotas.roomOf(endpoint.endpoint_id, endpoint.quota)
    if (room.kind === 'room') return disabled === undefined ? { kind: 'open', countMax: room.count } : PROBE
    if (room.kind === 'asked') return CLOSED_YET
    return { kind: 'closed', reason: 'quota_used', untilMs: room.untilMs }
  }

  const looking = supervise('gate', logLines, () => look().then(() => LOOK_MS))
  const loops = [
    looking,
    listenForNotices({ name: 'gate listen', pool, logLines, onNotice: looking.wake, channel: GATE_CHANNEL }),
    supervise('health', logLines, () => writeHealth().then(() => options.healthIntervalMs ?? HEALTH_MS)),
    supervise('quotas', logLines, () => quotas.tend().then(() => TEND_MS)),
  ]
  return {
    admit,
    paused: () => closures?.paused ?? NOBODY,
    start: ({ endpoint_id, quota }, messages = 1) => {
      if (quota !== undefined) quotas.use(endpoint_id, messages)
      const isProbe = closures?.states.get(endpoint_id)?.disabledReason !== undefined
      if (isProbe) probedAt.set(endpoint_id, nowMs())
      return { isProbe }
    },
    noteEnds: (completions) => {
      for (const completion of completions) {
        const { endpointId } = completion.claimed
        const sign = healthSignOf(completion)
        if (sign === undefined) continue
        const isFailing = closures?.states.has(endpointId) === true || writing.has(endpointId)
        health.note(endpointId, sign, completion.endedAt, isFailing)
      }
    },
    stop: async () => {
      await Promise.all(loops.map((loop) => loop.stop()))
      for (const last of [writeHealth, () => quotas.close()])
        await last().catch((error: unknown) =>
          logLines.warn({ error }, 'the state of endpoints cannot be written down'),
        )
    },
  }
}

/** Whether somebody may be sent to who might not before. */
function isOpened(before: Closures, after: Closures): boolean {
  const kinds = ['endpoint', 'affiliate', 'advertiser'] as const
  const isResumed = kinds.some((kind) => before.paused[kind].difference(after.paused[kind]).size > 0)
  const disabled = [...before.states].filter(([, state]) => state.disabledReason !== undefined)
  return isResumed || disabled.some(([id]) => after.states.get(id)?.disabledReason === undefined)
}

/** Whether an affiliate or advertiser is paused who was not. */
const isSubjectPaused = ({ paused: before }: Closures, { paused: after }: Closures): boolean =>
  !after.affiliate.isSubsetOf(before.affiliate) || !after.advertiser.isSubsetOf(before.advertiser)
