import type { Pool } from '#platform/postgres'
import type { Arrival } from './journal-receiver.ts'
import { SLOTS, type FaultSite } from './site.ts'

/** Holds what the database has on record against what the receiver's and the producer's journals say. It asks by statements of its
 * own; nothing of the engine is used.
 */
export type DeliveryCheck = {
  readonly findings: readonly string[]
  readonly counts: {
    readonly conversions: number
    readonly deliveries: number
    readonly arrivals: number
    /** Arrivals beyond the first that were not asked for by a failed try before. */
    readonly duplicates: number
    /** Arrivals without a row of their try, each of a life that was killed. */
    readonly cut_off: number
    /** Lives that were killed with something under way. */
    readonly kills_in_flight: number
    readonly retries: number
    readonly fenced: number
  }
}

export type CheckInput = {
  readonly pool: Pool
  readonly arrivals: readonly Arrival[]
  readonly lives: FaultSite['lives']
  /** Numbers whose commit the producer was told of. */
  readonly acknowledged: Iterable<number>
  /** Endpoints that must hear of a conversion of this affiliate. */
  readonly endpointsOf: (affiliateId: string) => readonly string[]
  /** States that a delivery may end in; default: delivered only. */
  readonly endStates?: readonly string[]
}

type Attempt = {
  readonly attempt_no: number
  readonly outcome: string
  readonly http_status: number | null
  readonly address: string | null
  readonly is_fenced: boolean
}
type Delivery = {
  readonly delivery_id: bigint
  readonly endpoint_id: string
  readonly event_id: string
  readonly txid: string
  readonly ends: readonly string[]
  readonly queued: number
  readonly attempts: readonly Attempt[]
}

const CONVERSIONS = 'SELECT txid, affiliate_id FROM conversions'

/** One row per delivery with everything that is on record of it. */
const DELIVERIES = `
  SELECT d.delivery_id, d.endpoint_id, d.event_id, c.txid,
    ARRAY(SELECT e.state FROM delivery_ends AS e WHERE e.delivery_id = d.delivery_id) AS ends,
    ((SELECT count(*) FROM delivery_ready AS r WHERE r.delivery_id = d.delivery_id)
      + (SELECT count(*) FROM delivery_deferred AS f WHERE f.delivery_id = d.delivery_id)
      + (SELECT count(*) FROM delivery_held AS h WHERE h.delivery_id = d.delivery_id))::int AS queued,
    coalesce((
      SELECT jsonb_agg(jsonb_build_object('attempt_no', a.attempt_no, 'outcome', a.outcome, 'http_status', a.http_status,
        'address', host(a.remote_address), 'is_fenced', a.is_fenced) ORDER BY a.attempted_at, a.attempt_no)
      FROM delivery_attempts AS a WHERE a.delivery_id = d.delivery_id
    ), '[]') AS attempts
  FROM deliveries AS d JOIN conversions AS c USING (conversion_id)`

/** Everything must have come to rest. */
export async function checkDeliveries(input: CheckInput): Promise<DeliveryCheck> {
  const { rows: conversions } = await input.pool.query<{ txid: string; affiliate_id: string }>(CONVERSIONS)
  const { rows: deliveries } = await input.pool.query<Delivery>(DELIVERIES)
  const notes = new Notes()
  const byKey = Map.groupBy(deliveries, keyOf)
  const arrivalsByKey = Map.groupBy(input.arrivals, keyOf)

  const booked = new Set(conversions.map(({ txid }) => txid))
  for (const number of input.acknowledged)
    notes.when(!booked.has(String(number)), 'an acknowledged conversion is lost', String(number))
  for (const { txid, affiliate_id } of conversions) {
    for (const endpointId of input.endpointsOf(affiliate_id)) {
      const key = `${endpointId} ${txid}`
      notes.when(!byKey.has(key), 'recorded and not queued', key)
      notes.when(!arrivalsByKey.has(key), 'never arrived', key)
    }
  }
  for (const [key, same] of byKey) notes.when(same.length > 1, 'queued twice under the same event', key)
  for (const [key, came] of arrivalsByKey) {
    notes.when(!byKey.has(key), 'arrived without being recorded', key)
    notes.when(new Set(came.map(({ webhookId }) => webhookId)).size > 1, 'arrived under two ids', key)
    notes.when(came.some(({ isSigned }) => !isSigned), 'arrived with a wrong signature', key) // prettier-ignore
  }
  const endStates = new Set(input.endStates ?? ['delivered'])
  for (const delivery of deliveries) checkDelivery(delivery, endStates, notes)
  const cutOff = checkArrivals(deliveries, input, notes)
  const attempts = deliveries.flatMap((delivery) => delivery.attempts)
  const counted = attempts.filter(({ is_fenced }) => !is_fenced)
  const askedFor = counted.filter(({ outcome, address }) => outcome === 'retry' && address !== null).length
  return {
    findings: notes.findings(),
    counts: {
      conversions: conversions.length,
      deliveries: deliveries.length,
      arrivals: input.arrivals.length,
      duplicates: Math.max(0, input.arrivals.length - arrivalsByKey.size - askedFor),
      cut_off: [...cutOff.values()].reduce((sum, count) => sum + count, 0),
      kills_in_flight: cutOff.size,
      retries: counted.filter(({ outcome }) => outcome === 'retry').length,
      fenced: attempts.length - counted.length,
    },
  }
}

const keyOf = (one: Delivery | Arrival): string =>
  'endpoint_id' in one ? `${one.endpoint_id} ${one.txid}` : `${one.endpointId} ${one.txid}`

/** What is on record of one delivery must be one story: tries numbered without a gap, then one end, then nothing. */
function checkDelivery(delivery: Delivery, endStates: ReadonlySet<string>, notes: Notes): void {
  const key = keyOf(delivery)
  const { ends, queued } = delivery
  notes.when(ends.length > 1, 'ended twice', key)
  notes.when(ends.length === 0, 'neither ended nor at rest', key)
  notes.when(queued > 1, 'queued in two places', key)
  notes.when(ends.length > 0 && queued > 0, 'ended and queued again', key)
  for (const state of ends) notes.when(!endStates.has(state), `ended as ${state}`, key)
  const counted = delivery.attempts.filter(({ is_fenced }) => !is_fenced)
  const isGapless = counted.every(({ attempt_no }, index) => attempt_no === index + 1)
  notes.when(!isGapless, 'numbers of its tries do not grow by one', `${key}: ${counted.map((one) => one.attempt_no).join(', ')}`) // prettier-ignore
  const endedAt = counted.findIndex(({ outcome }) => outcome !== 'retry')
  notes.when(endedAt >= 0 && endedAt < counted.length - 1, 'tried after it had ended', key)
  const isDelivered = counted.some(({ http_status }) => http_status !== null && http_status >= 200 && http_status < 300)
  notes.when(ends.includes('delivered') && !isDelivered, 'called delivered without a good answer', key)
}

/** Every arrival has a row of its try, unless its sender was killed before it could write it; and a row that tells of an answer
 * has an arrival.
 * @returns arrivals without a row, by the life that was killed
 */
function checkArrivals(deliveries: readonly Delivery[], input: CheckInput, notes: Notes): ReadonlyMap<string, number> {
  const balance = new Map<string, { readonly key: string; readonly address: string; arrived: number; logged: number; answered: number }>() // prettier-ignore
  const at = (key: string, address: string) => {
    const place = `${address} ${key}`
    const known = balance.get(place) ?? { key, address, arrived: 0, logged: 0, answered: 0 }
    balance.set(place, known)
    return known
  }
  for (const arrival of input.arrivals) at(keyOf(arrival), arrival.address).arrived += 1
  for (const delivery of deliveries) {
    for (const { address, http_status } of delivery.attempts) {
      if (address === null) continue
      const place = at(keyOf(delivery), address)
      place.logged += 1
      if (http_status !== null) place.answered += 1
    }
  }
  const killedAt = new Map(input.lives.map((life) => [life.address, life.killedAt()]))
  const lastAnswers = new Map(input.arrivals.map((arrival) => [`${arrival.address} ${keyOf(arrival)}`, arrival.answeredAt])) // prettier-ignore
  const cutOff = new Map<string, number>()
  const underWay = new Map<string, number>()
  for (const { key, address, arrived, logged, answered } of balance.values()) {
    notes.when(answered > arrived, 'an answer is on record that nobody gave', key)
    const unlogged = arrived - logged
    if (unlogged <= 0) continue
    const diedAt = killedAt.get(address) ?? Infinity
    if (diedAt === Infinity) notes.add('arrived without a row of its try, though its sender lived', key)
    else if (unlogged > 1) notes.add('arrived twice from one life without a row of the first', key)
    else {
      const waitedMs = diedAt - (lastAnswers.get(`${address} ${key}`) ?? Infinity)
      notes.when(waitedMs > UNWRITTEN_MS, 'answered long before a kill and never on record', `${key}: ${Math.round(waitedMs)} ms`) // prettier-ignore
      if (waitedMs <= 0) underWay.set(address, (underWay.get(address) ?? 0) + 1)
      cutOff.set(address, (cutOff.get(address) ?? 0) + 1)
    }
  }
  for (const [address, count] of underWay)
    notes.when(count > SLOTS, 'more was cut off by a kill than can be under way', `${count} at ${address}`)
  return cutOff
}

/** Outcomes gather up to 30 ms before they are written; with a machine that stands still for a moment, no answer waits longer. */
const UNWRITTEN_MS = 1_000

const EXAMPLES_MAX = 3

/** Findings of one kind become one sentence. */
class Notes {
  readonly #examples = new Map<string, string[]>()

  add(what: string, example: string): void {
    const known = this.#examples.get(what)
    if (known === undefined) this.#examples.set(what, [example])
    else known.push(example)
  }

  when(isWrong: boolean, what: string, example: string): void {
    if (isWrong) this.add(what, example)
  }

  findings(): readonly string[] {
    return [...this.#examples].map(
      ([what, examples]) => `${what}: ${examples.length} (${examples.slice(0, EXAMPLES_MAX).join('; ')})`,
    )
  }
}
