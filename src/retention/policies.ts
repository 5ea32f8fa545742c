/** Where raw rows go before they are dropped. `none`: nowhere, only what is kept stays. */
export const archiveKinds = ['none', 'files', 's3'] as const
export type ArchiveKind = (typeof archiveKinds)[number]

/** How raw rows of an advertiser are kept. */
export type RetentionPolicy = {
  /** Whole days (UTC) that follow a day before its rows are retired; undefined: for ever. */
  readonly rawDays: number | undefined
  readonly archive: ArchiveKind
}

export const retentionLimits = {
  /** Clicks are learned from and looked up for some days after they happened. */
  rawDaysMin: 7,
  rawDaysMax: 3_650,
  /** Days that restored rows stay before they are retired again, unless said otherwise. */
  holdDaysDefault: 7,
  holdDaysMax: 365,
  /** Files of the archive that one question reads of one table. */
  filesMax: 62,
} as const

export const retentionLimitMeanings: Readonly<Record<keyof typeof retentionLimits, string>> = {
  rawDaysMin: 'Least days of `raw_days` and `WAYPOST_RAW_DAYS`; less is refused',
  rawDaysMax: 'Most days; more is refused. Leave it out for ever',
  holdDaysDefault: 'Days that a day put back stays, unless asked otherwise',
  holdDaysMax: 'Most of these days; past it `request_invalid`',
  filesMax:
    'Files of an archive that a report reads of one table; past it the days are in `missing_days` as `archive_too_large`',
}

/** What an advertiser may say for itself. */
export type OwnRetention = { readonly raw_days?: number; readonly archive?: ArchiveKind }

/** Policies of all advertisers; what one leaves out is the installation's, as are rows of no or of a removed advertiser. */
export type Policies = {
  readonly byDefault: RetentionPolicy
  readonly own: ReadonlyMap<string, RetentionPolicy>
}

/** @param advertisers of the configuration; undefined: it is not known yet
 * @returns undefined: nothing may be retired before it is known who wants to keep what
 */
export function policiesOf(
  byDefault: RetentionPolicy,
  advertisers: readonly { readonly advertiser_id: string; readonly retention?: OwnRetention }[] | undefined,
): Policies | undefined {
  if (advertisers === undefined) return undefined
  const own = advertisers.flatMap(({ advertiser_id, retention }) =>
    retention === undefined
      ? []
      : [
          [
            advertiser_id,
            { rawDays: retention.raw_days ?? byDefault.rawDays, archive: retention.archive ?? byDefault.archive },
          ] as const,
        ],
  )
  return { byDefault, own: new Map(own) }
}

export const policyOf = (policies: Policies, advertiserId: string): RetentionPolicy =>
  policies.own.get(advertiserId) ?? policies.byDefault

const DAY_MS = 86_400_000

/** The first day (UTC, `YYYY-MM-DD`) whose raw rows stay; undefined: all stay. */
export function keptFrom({ rawDays }: RetentionPolicy, nowMs: number): string | undefined {
  return rawDays === undefined ? undefined : dayOf(nowMs - rawDays * DAY_MS)
}

/** The first day that any policy keeps whole; days from it on need not be looked at. */
export function earliestKept(policies: Policies, nowMs: number): string | undefined {
  const firsts = [policies.byDefault, ...policies.own.values()].flatMap((policy) => keptFrom(policy, nowMs) ?? [])
  return firsts.sort().at(-1)
}

/** `YYYY-MM-DD` in UTC. */
export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
