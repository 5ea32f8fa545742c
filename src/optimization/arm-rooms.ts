import type { ArmStats } from '#bandit'
import { clicksLeft, type CapCounters } from '#caps'
import { compileCappedOffers, type CompiledOfferCaps, type Offer, type Snapshot } from '#routing'

import { isOpen, type OptimizedPlace } from './places.ts'

/** What the caps of an arm leave it. Only caps that every click of an offer touches are looked at: one that is for a rule, or for each
 * affiliate, country or sub, may be full for some and has room for others.
 */
export type ArmRoom = {
  readonly offer_id: string
  readonly cap_id: string
  /** Clicks that it still takes; 0: it is full. */
  readonly clicks_left: number
  /** Clicks under way hold a part of it: there is room again as soon as they lapse. */
  readonly is_held: boolean
  /** When its period ends, ISO 8601; null: never. */
  readonly until: string | null
}

/** Arms with a limit, by their id. */
export type ArmRooms = ReadonlyMap<string, ArmRoom>

/** Reads the counts of this machine, each once however many places ask. */
export function readRooms(
  snapshot: Snapshot,
  counters: Pick<CapCounters, 'read'>,
  nowMs: number,
): (place: OptimizedPlace) => ArmRooms {
  const offers = new Map(snapshot.offers.map((offer) => [offer.offer_id, offer]))
  const campaigns = new Map(snapshot.campaigns.map((campaign) => [campaign.campaign_id, campaign]))
  const compiled = compileCappedOffers({ ...snapshot, offers: optimizedOffers(snapshot, offers) })
  const known = new Map<string, ArmRoom | undefined>()

  function roomOfOffer(offerId: string, isOfAffiliate: boolean): ArmRoom | undefined {
    const caps = compiled.get(offerId)
    if (caps === undefined) return undefined
    const key = `${offerId} ${isOfAffiliate}`
    if (!known.has(key)) known.set(key, leastRoom(offers.get(offerId)!, caps, counters, nowMs, isOfAffiliate))
    return known.get(key)
  }

  return ({ weights, campaignId, arms }) => {
    const campaign = campaigns.get(campaignId)
    const isOfAffiliate = campaign?.affiliate_id !== undefined
    const roomOf = (armId: string): ArmRoom | undefined => {
      switch (weights) {
        case 'offers':
          return roomOfOffer(armId, isOfAffiliate)
        case 'flows': {
          const flow = campaign?.flows.find(({ flow_id }) => flow_id === armId)
          const open = flow?.offers.filter(({ offer_id, weight }) => weight > 0 && isOpen(offers.get(offer_id), nowMs))
          return sumOfRooms((open ?? []).map(({ offer_id }) => roomOfOffer(offer_id, isOfAffiliate)))
        }
        case 'landings':
          // They are of one offer, or drawn for whatever offer comes: all of them have the same room.
          return undefined
        default:
          return weights satisfies never
      }
    }
    return new Map(
      arms.flatMap(({ id }) => {
        const room = roomOf(id)
        return room === undefined ? [] : [[id, room] as const]
      }),
    )
  }
}

function optimizedOffers({ campaigns }: Snapshot, offers: ReadonlyMap<string, Offer>): readonly Offer[] {
  const optimized = campaigns.filter(({ optimize }) => optimize !== undefined && optimize.mode !== 'off')
  const ids = optimized.flatMap(({ flows }) => flows.flatMap((flow) => flow.offers.map(({ offer_id }) => offer_id)))
  return [...new Set(ids)].flatMap((id) => offers.get(id) ?? [])
}

/** The room of its tightest cap, of equal ones of that whose period ends last. @returns undefined: there is no limit */
function leastRoom(
  offer: Offer,
  caps: CompiledOfferCaps,
  counters: Pick<CapCounters, 'read'>,
  nowMs: number,
  isOfAffiliate: boolean,
): ArmRoom | undefined {
  const levels = counters.read(caps.keysOfEveryClick(nowMs, isOfAffiliate), nowMs)
  const rooms = levels.map((level) => ({ ...level, clicks: clicksLeft(level) }))
  const [least] = rooms.toSorted((a, b) => a.clicks - b.clicks || b.key.periodEndMs - a.key.periodEndMs)
  if (least === undefined || least.clicks === Infinity) return undefined
  const { key, clicks, held } = least
  return {
    offer_id: offer.offer_id,
    cap_id: offer.caps![caps.indexOf(key)]!.cap_id,
    clicks_left: clicks,
    is_held: held > 0,
    until: key.periodEndMs === Infinity ? null : new Date(key.periodEndMs).toISOString(),
  }
}

/** A flow takes what its offers take together; told is the cap that gives way first. */
function sumOfRooms(rooms: readonly (ArmRoom | undefined)[]): ArmRoom | undefined {
  const limited = rooms.flatMap((room) => room ?? [])
  if (limited.length === 0 || limited.length < rooms.length) return undefined
  const clicks_left = limited.reduce((sum, room) => sum + room.clicks_left, 0)
  const [first] = limited.toSorted((a, b) => endOf(a) - endOf(b))
  return { ...first!, clicks_left }
}

const endOf = ({ until }: ArmRoom): number => (until === null ? Infinity : Date.parse(until))

/** The clicks of so long are the measure of those until the next run. */
const RATE_SECONDS = 300
const RUN_SECONDS = 60

/** Says of each arm with a limit what share of the clicks until the next run it can take. */
export function limitArms(stats: readonly ArmStats[], rooms: ArmRooms): readonly ArmStats[] {
  if (rooms.size === 0) return stats
  const recent = stats.flatMap(({ clicks }) => clicks.filter(({ age_seconds }) => age_seconds <= RATE_SECONDS))
  const expected = (recent.reduce((sum, { count }) => sum + count, 0) * RUN_SECONDS) / RATE_SECONDS
  return stats.map((arm) => {
    const room = rooms.get(arm.arm_id)
    if (room === undefined || room.clicks_left >= expected)
      return room?.clicks_left === 0 ? { ...arm, share_max: 0 } : arm
    return { ...arm, share_max: room.clicks_left / expected }
  })
}
