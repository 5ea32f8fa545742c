import type { RefusalReason } from '#records'
import { digestSecret, type Door, type PostbackDoors } from './postback-doors.ts'
import { isSignedBy, isTimely, parseSignature, parseTimestamp, type Signed } from './signature.ts'

/** What a postback brings to open a door. */
export type Credentials = {
  readonly address: string
  /** As given in the parameters or the path; any of them may be the right one. */
  readonly secrets: readonly string[]
  readonly signature: string | undefined
  readonly timestamp: string | undefined
  /** As it was signed, see querySigned. */
  readonly query: string
  readonly body: string
}

export type Authentication =
  | { readonly kind: 'opened'; readonly offerIds: readonly string[]; readonly signature: string | undefined }
  | { readonly kind: 'refused'; readonly reason: RefusalReason }

/** For a postback whose click is not indexed yet, signatures are tried with the secrets of all offers, but of no more. */
const SIGNING_SECRETS_TRIED_MAX = 1_000
/** So many offers at most are noted in the record; more open doors than that in one installation are not told apart. */
const OFFERS_NOTED_MAX = 1_000

const refused = (reason: RefusalReason): Authentication => ({ kind: 'refused', reason })

/** Which offers a postback may report conversions for. Pure.
 * @param offerId the offer of its click; undefined when the click is not known: then every door is tried
 * @param nowMs milliseconds since the epoch
 */
export function authenticatePostback(
  credentials: Credentials,
  doors: PostbackDoors,
  offerId: string | undefined,
  nowMs: number,
): Authentication {
  const signed = credentials.signature === undefined ? undefined : readSignature(credentials, nowMs)
  if (signed?.kind === 'refused') return signed
  const door = offerId === undefined ? undefined : doors.byOffer.get(offerId)
  const opened =
    door === undefined ? openAny(credentials, signed?.signed, doors) : openOne(credentials, signed?.signed, door)
  if (opened.length === 0) return refused(whyClosed(credentials))
  const reached = opened.filter(({ addresses }) => addresses?.has(credentials.address) ?? true)
  if (reached.length === 0) return refused('address_not_allowed')
  return {
    kind: 'opened',
    offerIds: reached.slice(0, OFFERS_NOTED_MAX).map(({ offer }) => offer.offer_id),
    signature: signed?.signed.signature,
  }
}

function readSignature(
  { signature, timestamp, query, body }: Credentials,
  nowMs: number,
): { readonly kind: 'signed'; readonly signed: Signed } | Extract<Authentication, { kind: 'refused' }> {
  const digits = parseSignature(signature ?? '')
  const timestampMs = parseTimestamp(timestamp)
  if (digits === undefined || timestampMs === undefined) return { kind: 'refused', reason: 'signature_wrong' }
  if (!isTimely(timestampMs, nowMs)) return { kind: 'refused', reason: 'signature_expired' }
  return { kind: 'signed', signed: { signature: digits, timestamp: timestamp!, query, body } }
}

function openOne({ secrets }: Credentials, signed: Signed | undefined, door: Door): readonly Door[] {
  const isOpened =
    door.isOpen ||
    secrets.some((secret) => door.secretDigests.has(digestSecret(secret))) ||
    (signed !== undefined && door.signingSecrets.some((secret) => isSignedBy(secret, signed)))
  return isOpened ? [door] : []
}

function openAny({ secrets }: Credentials, signed: Signed | undefined, doors: PostbackDoors): readonly Door[] {
  const bySecret = secrets.flatMap((secret) => doors.bySecretDigest.get(digestSecret(secret)) ?? [])
  const signing = signed === undefined ? [] : [...doors.bySigningSecret].slice(0, SIGNING_SECRETS_TRIED_MAX)
  const bySignature = signing.flatMap(([secret, group]) => (isSignedBy(secret, signed!) ? group : []))
  return [...new Set([...bySecret, ...bySignature, ...doors.open])]
}

function whyClosed({ secrets, signature }: Credentials): RefusalReason {
  if (signature !== undefined) return 'signature_wrong'
  return secrets.length > 0 ? 'secret_wrong' : 'secret_missing'
}
