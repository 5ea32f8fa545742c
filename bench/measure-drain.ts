import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'
import { SUB_COUNT_TYPICAL } from './bench-site.ts'
import type { Figure, RowName } from './rows.ts'
import type { BenchSettings } from './run.ts'

/** What bench/drain.ts prints. */
type DrainResult = {
  readonly records: number
  readonly seconds: number
  readonly records_per_second: number
  readonly clicks: number
  readonly bytes_per_click: number
  readonly conversions: number
  readonly ledger_entries: number
}

const SUB_COUNT_ALL = 30
/** Enough rows that marks and dictionaries weigh nothing. */
const DISK_RECORDS = 250_000

async function runDrain(records: number, subCount: number): Promise<DrainResult> {
  const drain = fileURLToPath(new URL('./drain.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [drain, String(records), String(subCount)])
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as DrainResult
}

/** The rows of the pipeline without an edge: it drains a backlog in a process of its own, beside an embedded PostgreSQL. */
export async function measureDrain(
  settings: BenchSettings,
  isWanted: (name: RowName) => boolean,
  keep: (name: RowName, figure: Figure) => void,
): Promise<void> {
  const count = (value: number): string => value.toLocaleString('en-US')
  if (isWanted('drain')) {
    const result = await runDrain(settings.records, SUB_COUNT_TYPICAL)
    keep('drain', {
      value: result.records_per_second,
      note:
        `${count(result.records)} records in ${result.seconds.toFixed(1)} s: ${count(result.clicks)} clicks, ` +
        `${count(result.conversions)} conversions, ${count(result.ledger_entries)} entries of the ledger`,
      details: result,
    })
  }
  if (isWanted('disk')) {
    const result = await runDrain(Math.min(settings.records, DISK_RECORDS), SUB_COUNT_ALL)
    keep('disk', {
      value: result.bytes_per_click,
      note: `table clicks after merging, ${count(result.clicks)} rows, all ${SUB_COUNT_ALL} sub ids filled`,
      details: result,
    })
  }
}
