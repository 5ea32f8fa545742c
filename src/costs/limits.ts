/** Limits of cost imports. The table in docs/limits.md is made of them. */
export const costLimits = {
  rowsMax: 5_000,
  bodyBytesMax: 4_194_304,
  daysMax: 92,
  overlapsMax: 20,
  valueCharactersMax: 255,
  keyCharactersMax: 200,
  chunkClicks: 500_000,
  respreadDays: 7,
} as const

/** What each limit bounds, and what happens past it. */
export const costLimitMeanings: Readonly<Record<keyof typeof costLimits, string>> = {
  rowsMax: 'Rows of an import. More: `request_invalid`, nothing is booked.',
  bodyBytesMax: 'Bytes of an import. More: `body_too_large`.',
  daysMax: 'Days that a row covers. More: `request_invalid`, nothing is booked.',
  overlapsMax:
    'Rows of an import that name the same values for times that overlap without being the same. More: `request_invalid`, nothing is booked.',
  valueCharactersMax: 'Characters of a value of a dimension. Longer: `request_invalid`, nothing is booked.',
  keyCharactersMax: 'Characters of the key of an import and of an idempotency key. Longer: `request_invalid`.',
  chunkClicks: 'Clicks that bear a cost in one insert, but for an hour that has more. More: several inserts.',
  respreadDays: 'Days after the end of a row in which clicks that came late are looked for each night.',
}
