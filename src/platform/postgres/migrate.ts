import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'

import { inTransaction } from './transaction.ts'
import type { Pool } from './pool.ts'
import { checkServerVersion } from './server-version.ts'

const MIGRATIONS = new URL('../../../migrations/postgres/', import.meta.url)
const MIGRATION_NAME = /^\d{3}_[a-z0-9_]+\.sql$/
/** Any number, the same for ever: two processes that start together migrate one after the other. */
const ADVISORY_LOCK = 7_229_001

const CREATE_TABLE = `
  CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
  )`

/** Applies the files migrations/postgres/NNN_*.sql that were not applied yet, all of them in one transaction.
 * @returns the names applied, in order; empty when the schema was up to date
 * @throws {Error} the server is too old; a file was changed after it was applied, or PostgreSQL refused a statement; nothing is applied then
 */
export async function migratePostgres(pool: Pool): Promise<readonly string[]> {
  return inTransaction(pool, async (tx) => {
    const { rows: versions } = await tx.query<{ number: number }>(
      `SELECT current_setting('server_version_num')::int AS number`,
    )
    checkServerVersion(versions[0]!.number)
    await tx.query('SET LOCAL statement_timeout = 0')
    await tx.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCK])
    await tx.query(CREATE_TABLE)
    const { rows } = await tx.query<{ name: string; sha256: string }>('SELECT name, sha256 FROM schema_migrations')
    const applied = new Map(rows.map((row) => [row.name, row.sha256]))
    const pending = readMigrations().filter((migration) => !isApplied(migration, applied))
    for (const migration of pending) {
      await tx.query(migration.sql).catch((cause: unknown) => {
        throw new Error(`migrations/postgres/${migration.name}: ${(cause as Error).message}`, { cause })
      })
      await tx.query('INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)', [migration.name, migration.sha256])
    }
    return pending.map((migration) => migration.name)
  })
}

type Migration = { readonly name: string; readonly sql: string; readonly sha256: string }

function readMigrations(): readonly Migration[] {
  const names = readdirSync(MIGRATIONS).filter((name) => MIGRATION_NAME.test(name))
  return names.sort().map((name) => {
    const sql = readFileSync(new URL(name, MIGRATIONS), 'utf8')
    return { name, sql, sha256: createHash('sha256').update(sql).digest('hex') }
  })
}

function isApplied(migration: Migration, applied: ReadonlyMap<string, string>): boolean {
  const sha256 = applied.get(migration.name)
  if (sha256 === undefined || sha256 === migration.sha256) return sha256 !== undefined
  throw new Error(
    `migrations/postgres/${migration.name} was changed after it was applied to this database. ` +
      'Put the file back and write the change as a new migration.',
  )
}
