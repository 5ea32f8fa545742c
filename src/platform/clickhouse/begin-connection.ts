/** What ClickHouse notes about parts of a table so that later reads can leave them out, on by default. Where a note is wrong, rows are
 * missing from an answer and nothing says so: in 26.7 a cached condition does not know all settings that it was tried under, and minima
 * and maxima know neither NaN nor dates past 2106 (issues 117203, 113417 and 111759 of ClickHouse/ClickHouse; every-row.ch.test.ts
 * shows them). Numbers that money is paid by are read from the rows.
 */
export const NOTED_ABOUT_PARTS = ['use_query_condition_cache', 'use_statistics_for_part_pruning'] as const

/** Filters with as many values as a report may have. */
const STATEMENT_BYTES_MAX = 16_777_216

/** What every connection to the embedded engine begins with.
 *
 * The limit of a statement is looked at before its own settings are read. A report reads some hundred small files: handing each read
 * over to a thread, as by default, takes as long as everything else (20 million clicks by campaign and a rule: 800 ms, read directly 430).
 */
const beginSettings: ReadonlyMap<string, string> = new Map([
  ['max_query_size', String(STATEMENT_BYTES_MAX)],
  ['local_filesystem_read_method', `'pread'`],
  ...NOTED_ABOUT_PARTS.map((name) => [name, '0'] as const),
])

export const BEGIN_CONNECTION = [...beginSettings].map(([name, value]) => `SET ${name} = ${value}`).join('; ')

/** Gives a setting the value that connections begin with. */
export const resetSql = (name: string): string => `SET ${name} = ${beginSettings.get(name) ?? 'DEFAULT'}; `
