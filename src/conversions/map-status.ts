import type { ConversionStatus, ConversionType, Offer } from '#routing'

/** What a partner's status and goal words mean for an offer. */
export type MappedStatus =
  | {
      readonly kind: 'mapped'
      /** Left out: the words name no type; they concern the conversion that is there already. */
      readonly type: ConversionType | undefined
      /** Left out: the words name no status; a new conversion gets that of its price. */
      readonly status: ConversionStatus | undefined
      /** Lower case; the type's name where the partner gave no goal. */
      readonly goal: string | undefined
    }
  | { readonly kind: 'refused'; readonly reason: 'status_missing' | 'status_unmapped' | 'status_ignored' }

type Meaning = { readonly type?: ConversionType; readonly status?: ConversionStatus | 'ignore' }

/** Words that every network of the 395 examined uses alike. `1`, `2`, `hold`, `accepted`, `dep` and `subscribe` are not
 * here: they mean a lead to one network and a sale to the next, so the offer has to map them.
 * @see docs/states/conversion.md
 */
export const defaultStatusMap: Readonly<Record<string, Meaning>> = {
  lead: { type: 'lead' },
  sale: { type: 'sale' },
  pending: { status: 'pending' },
  approved: { status: 'approved' },
  approve: { status: 'approved' },
  confirmed: { status: 'approved' },
  confirm: { status: 'approved' },
  rejected: { status: 'rejected' },
  reject: { status: 'rejected' },
  declined: { status: 'rejected' },
  decline: { status: 'rejected' },
  cancelled: { status: 'rejected' },
  canceled: { status: 'rejected' },
  cancel: { status: 'rejected' },
  trash: { status: 'rejected' },
}

/** Reads a partner's words, in any case: first by the offer's own map, then as an event name, then by the default words.
 * A status word that is known decides alone when the goal is not; a goal alone must be known.
 */
export function mapStatus(
  offer: Pick<Offer, 'status_map' | 'event_map'>,
  words: { readonly raw_status?: string | undefined; readonly raw_goal?: string | undefined },
): MappedStatus {
  const statusWord = normalize(words.raw_status)
  const goalWord = normalize(words.raw_goal)
  if (statusWord === undefined && goalWord === undefined) return { kind: 'refused', reason: 'status_missing' }
  const byStatus = meaningOf(offer, statusWord)
  const byGoal = meaningOf(offer, goalWord)
  if (statusWord === undefined ? byGoal === undefined : byStatus === undefined)
    return { kind: 'refused', reason: 'status_unmapped' }
  if (byStatus?.status === 'ignore' || byGoal?.status === 'ignore') return { kind: 'refused', reason: 'status_ignored' }
  return {
    kind: 'mapped',
    type: byGoal?.type ?? byStatus?.type,
    status: byStatus?.status ?? byGoal?.status,
    goal: goalWord ?? eventNameOf(offer, statusWord),
  }
}

function normalize(word: string | undefined): string | undefined {
  const text = word?.trim().toLowerCase()
  return text === '' ? undefined : text
}

function meaningOf(offer: Pick<Offer, 'status_map' | 'event_map'>, word: string | undefined): Meaning | undefined {
  if (word === undefined) return undefined
  const type = own(offer.event_map, word)
  return own(offer.status_map, word) ?? (type === undefined ? own(defaultStatusMap, word) : { type })
}

/** A status word such as `deposit` names the event itself. */
const eventNameOf = (offer: Pick<Offer, 'event_map'>, word: string | undefined): string | undefined =>
  word !== undefined && own(offer.event_map, word) !== undefined ? word : undefined

/** Words come from outside: `constructor` must not find what every object inherits. */
const own = <T>(map: Readonly<Record<string, T>>, word: string): T | undefined =>
  Object.hasOwn(map, word) ? map[word] : undefined
