import { setTimeout as delay } from 'node:timers/promises'

import { WaypostError } from '#platform/errors'

import { ARCHIVE_SETTINGS, archiveTable, explainArchiveError } from './archives.ts'
import { dayOf, retentionLimits } from './policies.ts'
import { listRetirements, moveOn, rowsOf, type Retirement } from './retirements.ts'
import { forgetKept, onlyOne, readColumns, readContent, structureOf, type RetentionTools } from './retire.ts'

const DAY_MS = 86_400_000
const GRACE_MS = 60_000

export type Restored = { readonly retirements: number; readonly rows: number }

/** Puts the raw rows of a day back from their archive, all tables and advertisers, and leaves them alone for some days. What an earlier
 * call left unfinished goes on.
 * @param day UTC, `YYYY-MM-DD`
 * @returns undefined: another run is under way
 * @throws {WaypostError} not_found: nothing of the day was retired; conflict: it was retired without an archive, or is just
 * being retired; archive_unavailable
 */
export async function restoreDay(
  tools: RetentionTools,
  day: string,
  holdDays: number = retentionLimits.holdDaysDefault,
): Promise<Restored | undefined> {
  return onlyOne(tools.pool, async () => {
    const found = await listRetirements(tools.pool, { fromDay: day, toDay: day })
    const wanted = found.filter(({ state }) => state !== 'restored')
    checkRestorable(day, wanted)
    for (const one of wanted) if (one.state === 'dropped') await checkArchive(tools, one)
    for (const one of wanted) if (one.state === 'dropped') await moveOn(tools.pool, one, 'dropped', 'restoring')
    const heldUntil = dayOf(tools.clock.now() + holdDays * DAY_MS)
    const all = await listRetirements(tools.pool, { fromDay: day, toDay: day, states: ['restoring', 'unretired'] })
    const byTable = Map.groupBy(all, ({ table_name }) => table_name)
    for (const ofTable of byTable.values()) await putBack(tools, ofTable, heldUntil)
    return { retirements: all.length, rows: all.reduce((sum, { rows }) => sum + Number(rows), 0) }
  })
}

function checkRestorable(day: string, found: readonly Retirement[]): void {
  if (found.length === 0) throw new WaypostError('not_found', `No raw rows of ${day} were retired.`)
  const bare = found.find(({ archive }) => archive === 'none')
  if (bare !== undefined)
    throw new WaypostError(
      'conflict',
      `Rows of ${bare.table_name} of ${day} were retired without an archive (${bare.advertiser_ids.join(', ')}).`,
    )
  const moving = found.find(({ state }) => !['dropped', 'restoring', 'unretired'].includes(state))
  if (moving !== undefined)
    throw new WaypostError(
      'conflict',
      `Rows of ${moving.table_name} of ${day} are being retired: wait for the end of the run.`,
    )
}

/** Reads an archive and compares it with what was written.
 * @throws {WaypostError} archive_unavailable
 */
async function checkArchive({ facts, places }: RetentionTools, one: Retirement): Promise<void> {
  try {
    const columns = await readColumns(facts, one.table_name)
    const archive = archiveTable(places, one.archive, one.path!, structureOf(columns))
    const content = await readContent(facts, one.columns, archive, '1', ` SETTINGS ${ARCHIVE_SETTINGS}`)
    if (content.rows === String(one.rows) && content.checksum === one.checksum) return
    throw new WaypostError(
      'archive_unavailable',
      `${one.path} is not what was written: ${content.rows} rows of checksum ${content.checksum} instead of ${one.rows} of ${one.checksum}.`,
    )
  } catch (cause) {
    throw explainArchiveError(cause, places)
  }
}

/** All retirements of one table and day: their conditions overlap where a later one took what an earlier one had left. */
async function putBack(tools: RetentionTools, ofTable: readonly Retirement[], heldUntil: string): Promise<void> {
  const { pool, facts, clock, signal, reach, graceMs = GRACE_MS } = tools
  const restoring = ofTable.filter(({ state }) => state === 'restoring')
  if (restoring.length > 0) {
    await insertRows(tools, restoring)
    reach?.('unretire')
    // All at once: the conditions of the others hide what one has put back.
    await pool.query(
      `UPDATE fact_retirements SET state = 'unretired', restored_at = $2, held_until = $3
       WHERE retirement_id = ANY($1) AND state = 'restoring'`,
      [restoring.map(({ retirement_id }) => retirement_id), new Date(clock.now()), heldUntil],
    )
    // Reports that are under way still count what is kept.
    if (graceMs > 0) await delay(graceMs, undefined, { signal })
  }
  for (const one of ofTable) {
    reach?.('forget')
    await forgetKept(facts, one)
    await moveOn(pool, one, 'unretired', 'restored')
  }
}

/** Inserts the archived rows; what an earlier call left is taken out first. */
async function insertRows({ facts, places, reach }: RetentionTools, restoring: readonly Retirement[]): Promise<void> {
  const { table_name, day } = restoring[0]!
  const columns = await readColumns(facts, table_name)
  const rows = restoring.map((one) => `(${rowsOf(one)})`).join(' OR ')
  await facts.command({
    query: `ALTER TABLE ${table_name} DELETE IN PARTITION ${day.replaceAll('-', '')} WHERE ${rows} SETTINGS mutations_sync = 2`,
  })
  try {
    for (const one of restoring) {
      reach?.('put_back')
      const archive = archiveTable(places, one.archive, one.path!, structureOf(columns))
      const names = columns.map(({ name }) => name).join(', ')
      await facts.command({
        // Without a token of its own an insert of rows that were there before would be dropped as a repeat.
        query: `INSERT INTO ${table_name} (${names}) SELECT ${names} FROM ${archive}
          SETTINGS ${ARCHIVE_SETTINGS}, insert_deduplicate = 0`,
      })
    }
  } catch (cause) {
    throw explainArchiveError(cause, places)
  }
}
