import { isDeepStrictEqual } from 'node:util'

import { learnWeights, type LearnedWeights } from '#bandit'
import type { CapCounters } from '#caps'
import type { FactsClient } from '#platform/clickhouse'
import { WaypostError } from '#platform/errors'
import type { Pool } from '#platform/postgres'
import type { Snapshot } from '#routing'

import { limitArms, readRooms, type ArmRooms } from './arm-rooms.ts'
import { readArmStats } from './arm-stats.ts'
import { placesOf, type OptimizedPlace, type PlaceProblem } from './places.ts'
import { confirmLearned, findLearned, storeLearned, type Learned, type PlaceState } from './store.ts'

/** Weights of a place are used once one of them is this far from the one in use, of 10,000. Draws have noise: without it every
 * run would make a version.
 */
export const CHANGE_MIN = 100
const KEPT_DAYS = 90
const DAY_MS = 86_400_000

export type Learner = {
  readonly pool: Pool
  readonly facts: FactsClient
  /** Counts of caps; left out: every arm is taken to have room. */
  readonly caps?: Pick<CapCounters, 'read'> | undefined
}

/** Learns the weights of every optimised place once and stores what came of it. Where the facts of one place are too much, the
 * others are learned. An arm whose cap is full for everybody, or full before the next run, gets what it can take.
 * @param signal aborted: the run ends after the place at hand, and nothing is stored
 * @returns the version in use after it; undefined: nothing is or was optimised
 * @throws {WaypostError} facts_unavailable; what PostgreSQL throws
 */
export async function learnOnce(
  { pool, facts, caps }: Learner,
  snapshot: Snapshot,
  nowMs: number,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const before = await findLearned(pool)
  const places = placesOf(snapshot, nowMs)
  if (places.length === 0 && before === undefined) return undefined
  const now = new Date(nowMs)
  const version = (before?.version ?? 0) + 1
  const roomsOf = caps && readRooms(snapshot, caps, nowMs)
  const results: PlaceResult[] = []
  for (const place of places) {
    if (signal?.aborted === true) return before?.version
    const rooms = roomsOf?.(place) ?? NO_ROOMS
    const learned = await learnPlace(facts, place, rooms, snapshot.version, nowMs)
    results.push(settle(place, withRooms(learned, rooms), before, { version, at: now }))
  }
  const weights = Object.fromEntries(results.flatMap(({ state, inUse }) => (inUse ? [[state.place, inUse]] : [])))
  const state = results.map((result) => result.state)
  if (before !== undefined && isDeepStrictEqual(weights, before.weights)) {
    await confirmLearned(pool, before.version, state, now)
    return before.version
  }
  await storeLearned(pool, { version, weights, state, createdAt: now }, nowMs - KEPT_DAYS * DAY_MS)
  return version
}

const NO_ROOMS: ArmRooms = new Map()

type Outcome = LearnedWeights | PlaceProblem

/** @param seed the version of the configuration: the same facts and counts give the same weights */
async function learnPlace(
  facts: FactsClient,
  place: OptimizedPlace,
  rooms: ArmRooms,
  seed: number,
  nowMs: number,
): Promise<Outcome> {
  if (place.problem !== undefined) return place.problem
  try {
    return learnWeights(limitArms(await readArmStats(facts, place, nowMs), rooms), place.optimize, seed)
  } catch (error) {
    if (error instanceof WaypostError && error.code === 'query_too_expensive') return 'too_many_facts'
    throw error
  }
}

type LearnedPlace = Omit<LearnedWeights, 'state'> & {
  readonly state: Pick<PlaceState, 'mode' | 'goal' | 'seed' | 'arms'>
}

/** Says of arms that were given less for a cap which cap it is. */
function withRooms(learned: Outcome, rooms: ArmRooms): LearnedPlace | PlaceProblem {
  if (typeof learned === 'string') return learned
  const arms = learned.state.arms.map(({ share_max, ...arm }) => {
    const cap = share_max === undefined ? undefined : rooms.get(arm.arm_id)
    return { ...arm, ...(cap && { cap }) }
  })
  return { ...learned, state: { ...learned.state, arms } }
}

type ArmWeights = Readonly<Record<string, number>>
type PlaceResult = { readonly state: PlaceState; readonly inUse: ArmWeights | undefined }

/** What is used at the place from now on, and what is to be told of it. */
function settle(
  place: OptimizedPlace,
  learned: LearnedPlace | PlaceProblem,
  before: Learned | undefined,
  made: { readonly version: number; readonly at: Date },
): PlaceResult {
  const known = before?.weights[place.place]
  const told = toldOf(place)
  const { mode, goal } = place.optimize
  if (typeof learned === 'string') {
    // What cannot be asked at present was learned before and stays.
    const inUse = learned === 'too_many_facts' && mode === 'on' ? known : undefined
    return { state: { ...told, mode, goal, seed: 0, arms: [], problem: learned }, inUse }
  }
  const { state } = learned
  if (mode !== 'on') return { state: { ...told, ...state }, inUse: undefined }
  const found = Object.fromEntries(learned.weights.map(({ arm_id, weight }) => [arm_id, weight]))
  if (known !== undefined && !hasMoved(known, found)) {
    const { since, weights_version } = before?.state.find((one) => one.place === place.place) ?? {}
    const arms = state.arms.map((arm) => ({ ...arm, weight: known[arm.arm_id]! }))
    return { state: { ...told, ...state, arms, ...(since && { since }), ...(weights_version && { weights_version }) }, inUse: known } // prettier-ignore
  }
  return { state: { ...told, ...state, since: made.at.toISOString(), weights_version: made.version }, inUse: found }
}

function hasMoved(known: ArmWeights, found: ArmWeights): boolean {
  const ids = Object.keys(found)
  if (ids.length !== Object.keys(known).length) return true
  return ids.some((id) => known[id] === undefined || Math.abs(found[id]! - known[id]) >= CHANGE_MIN)
}

const toldOf = ({ place, weights, advertiserId, campaignId, flowId, offerId, currency }: OptimizedPlace) => ({
  ...{ place, weights, advertiser_id: advertiserId, campaign_id: campaignId, currency },
  ...(flowId !== undefined && { flow_id: flowId }),
  ...(offerId !== undefined && { offer_id: offerId }),
})
