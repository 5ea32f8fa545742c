/** Limits of exports. The table in docs/exports.md is made of them. */
export const exportLimits = {
  keepHours: 72,
  linkSeconds: 3_600,
  fileBytesMax: 50_000_000_000,
  totalBytesMax: 200_000_000_000,
  freeBytesMin: 1_000_000_000,
  xlsxRowsMax: 1_048_575,
  reportSecondsMax: 300,
  attemptsMax: 3,
} as const

export type ExportLimits = { readonly [Name in keyof typeof exportLimits]: number }

/** What each limit bounds, and what happens past it. */
export const exportLimitMeanings: Readonly<Record<keyof typeof exportLimits, string>> = {
  keepHours: 'Hours that a file is kept after its export is done; then it is removed',
  linkSeconds: 'Seconds that a download link is good for; past it `link_expired`, and a new one can be asked for',
  fileBytesMax: 'Bytes of a file; past it the export ends with `export_too_large`',
  totalBytesMax: 'Bytes of all files together; past it an export waits and then ends with `disk_full`',
  freeBytesMin: 'Bytes that stay free on the disk; below it an export waits and then ends with `disk_full`',
  xlsxRowsMax: 'Rows of an XLSX file besides its heads; past it `export_too_large`',
  reportSecondsMax: 'Seconds that the question of a report may take; past it `query_too_expensive`',
  attemptsMax: 'Runs of an export that are begun before it has failed',
}
