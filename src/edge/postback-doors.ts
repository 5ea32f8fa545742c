import { createHash } from 'node:crypto'

import type { Offer, Snapshot } from '#routing'
import { compileAddressList, type AddressList } from './client-address.ts'

/** What an offer asks of whoever reports its conversions. */
export type Door = {
  readonly offer: Offer
  /** SHA-256 of each accepted secret: a look-up by digest tells nothing by the time it takes. */
  readonly secretDigests: ReadonlySet<string>
  readonly signingSecrets: readonly string[]
  /** Undefined: from anywhere. */
  readonly addresses: AddressList | undefined
  /** Neither secret nor signature is asked for. */
  readonly isOpen: boolean
}

/** The doors of all offers, and by what they open: for postbacks whose click is not indexed yet. */
export type PostbackDoors = {
  readonly byOffer: ReadonlyMap<string, Door>
  readonly bySecretDigest: ReadonlyMap<string, readonly Door[]>
  readonly bySigningSecret: ReadonlyMap<string, readonly Door[]>
  readonly open: readonly Door[]
}

export const digestSecret = (secret: string): string => createHash('sha256').update(secret).digest('base64')

function openDoor(offer: Offer): Door {
  const { secrets, hmac_secrets, allowed_addresses } = offer.postback
  return {
    offer,
    secretDigests: new Set(secrets.map(digestSecret)),
    signingSecrets: hmac_secrets,
    addresses: allowed_addresses.length === 0 ? undefined : compileAddressList(allowed_addresses),
    isOpen: secrets.length === 0 && hmac_secrets.length === 0,
  }
}

function groupBy(doors: readonly Door[], keysOf: (door: Door) => Iterable<string>): Map<string, Door[]> {
  const groups = new Map<string, Door[]>()
  for (const door of doors) {
    for (const key of keysOf(door)) {
      const group = groups.get(key)
      if (group === undefined) groups.set(key, [door])
      else group.push(door)
    }
  }
  return groups
}

/** Prepares the doors of a configuration version. */
export function compileDoors(snapshot: Snapshot): PostbackDoors {
  const doors = snapshot.offers.map(openDoor)
  return {
    byOffer: new Map(doors.map((door) => [door.offer.offer_id, door])),
    bySecretDigest: groupBy(doors, (door) => door.secretDigests),
    bySigningSecret: groupBy(doors, (door) => new Set(door.signingSecrets)),
    open: doors.filter((door) => door.isOpen),
  }
}
