import type { Binding, Bound } from '#routing'

/** What campaigns keep for a visitor, in a cookie: per campaign the flow, offer and landing of before and until when each holds.
 *
 *   <campaign>|<flow>|<until>|<offer>|<until>|<landing>|<until>~<next campaign>|…
 *
 * Times are seconds since the epoch in base 36; what is not bound is empty. The newest campaign stands first. A visitor may write
 * what they like: it only chooses among what would take them anyway.
 */
export const BOUND_COOKIE = 'wp_b'

/** Campaigns remembered; ids have 63 characters at most, so the cookie stays below the 4,096 that browsers keep. */
const CAMPAIGNS_MAX = 12

const PARTS = ['flow', 'offer', 'landing'] as const
type Part = (typeof PARTS)[number]
type Kept = { readonly [part in Part]?: { readonly id: string; readonly untilSeconds: number } }

const ID = /^[a-z0-9][a-z0-9_.-]{0,62}$/

/** The entries of the cookie by campaign, newest first. Never throws; what cannot be read is left out. */
function parse(value: string | undefined): ReadonlyMap<string, Kept> {
  const kept = new Map<string, Kept>()
  for (const entry of (value ?? '').split('~').slice(0, CAMPAIGNS_MAX)) {
    const [campaignId = '', ...fields] = entry.split('|')
    if (!ID.test(campaignId) || fields.length !== PARTS.length * 2) continue
    const parts = PARTS.flatMap((part, index) => {
      const id = fields[index * 2]!
      const untilSeconds = Number.parseInt(fields[index * 2 + 1]!, 36)
      return ID.test(id) && Number.isSafeInteger(untilSeconds) ? [[part, { id, untilSeconds }] as const] : []
    })
    kept.set(campaignId, Object.fromEntries(parts))
  }
  return kept
}

/** What is bound in a campaign at a time. */
export function boundIn(value: string | undefined, campaignId: string, at: number): Bound | undefined {
  const kept = parse(value).get(campaignId)
  if (kept === undefined) return undefined
  const idOf = (part: Part): string | undefined => {
    const one = kept[part]
    return one !== undefined && one.untilSeconds * 1_000 > at ? one.id : undefined
  }
  return { flowId: idOf('flow'), offerId: idOf('offer'), landingId: idOf('landing') }
}

/** The cookie's value after a click, with how long it is to live. What the visitor got again holds until its time comes, as before:
 * a visitor who comes every day is let go too.
 *
 * Only regular flows are kept. While one is, a click that another kind of flow took, or none, changes nothing: the visitor goes back to
 * their flow, offer and landing as soon as that one accepts them again.
 * @returns undefined: the cookie stays as it is
 */
export function bind(
  value: string | undefined,
  { assignment, hours, isRegular }: Binding,
  at: number,
): { readonly value: string; readonly maxAgeSeconds: number } | undefined {
  const { campaign_id: campaignId } = assignment
  if (campaignId === undefined) return undefined
  const nowSeconds = Math.floor(at / 1_000)
  const earlier = parse(value)
  const before = earlier.get(campaignId)
  if (!isRegular && hours.flow_hours !== undefined && (before?.flow?.untilSeconds ?? 0) > nowSeconds) return undefined
  const fields = PARTS.flatMap((part) => {
    const id = part === 'flow' && !isRegular ? undefined : assignment[`${part}_id`]
    const ttlHours = hours[`${part}_hours`]
    if (id === undefined || ttlHours === undefined) return ['', '']
    const standing = before?.[part]
    const isSame = standing?.id === id && standing.untilSeconds > nowSeconds
    return [id, (isSame ? standing.untilSeconds : nowSeconds + ttlHours * 3_600).toString(36)]
  })
  if (fields.every((field) => field === '')) return undefined
  const others = [...earlier].filter(([id, kept]) => id !== campaignId && lastOf(kept) > nowSeconds)
  const entries = [[campaignId, ...fields].join('|'), ...others.map(([id, kept]) => print(id, kept))]
  const untilSeconds = Math.max(...[...parse(entries.join('~')).values()].map(lastOf))
  return { value: entries.slice(0, CAMPAIGNS_MAX).join('~'), maxAgeSeconds: untilSeconds - nowSeconds }
}

const lastOf = (kept: Kept): number => Math.max(0, ...PARTS.map((part) => kept[part]?.untilSeconds ?? 0))

const print = (campaignId: string, kept: Kept): string =>
  [campaignId, ...PARTS.flatMap((part) => [kept[part]?.id ?? '', kept[part]?.untilSeconds.toString(36) ?? ''])].join(
    '|',
  )
