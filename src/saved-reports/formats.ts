/** What a scheduled report can be kept as: `json` is the answer with its totals, the others are a table. */
export const reportFormatNames = ['csv', 'json', 'jsonl', 'xlsx', 'parquet'] as const
export type ReportFormat = (typeof reportFormatNames)[number]

/** A report as a file. */
export type WrittenReport = {
  readonly rows: number
  readonly contentType: string
  readonly content: Buffer
  /** ISO 4217; all money of the file is in it. */
  readonly currency: string
  /** Of amounts that are not in the file, or not all of them. */
  readonly other_currencies: readonly string[]
}
