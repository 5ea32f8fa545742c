import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'

import type { FactsClient } from './open.ts'

const MIGRATIONS = new URL('../../../migrations/clickhouse/', import.meta.url)
const MIGRATION_NAME = /^\d{3}_[a-z0-9_]+\.sql$/

const CREATE_TABLE = `
  CREATE TABLE IF NOT EXISTS schema_migrations (
    name String,
    statement UInt32,
    sha256 String,
    applied_at DateTime DEFAULT now()
  ) ENGINE = MergeTree ORDER BY (name, statement)`

/** Applies the statements of migrations/clickhouse/NNN_*.sql that were not applied yet.
 * ClickHouse has no transactions over DDL: each statement is recorded by itself, so that a migration that was cut off goes
 * on where it stopped. A statement that ran and was not recorded runs again: write `IF NOT EXISTS`.
 * @returns the names of the files of which something was applied, in order
 * @throws {Error} a file was changed after it was applied, or ClickHouse refused a statement
 */
export async function migrateClickHouse(client: FactsClient): Promise<readonly string[]> {
  await client.command({ query: CREATE_TABLE })
  const answer = await client.query({
    query: 'SELECT name, statement, sha256 FROM schema_migrations',
    format: 'JSONEachRow',
  })
  const rows = await answer.json<{ name: string; statement: number; sha256: string }>()
  const applied = new Map(rows.map((row) => [`${row.name}#${row.statement}`, row.sha256]))
  const touched = new Set<string>()
  for (const step of readSteps()) {
    const sha256 = applied.get(`${step.name}#${step.statement}`)
    if (sha256 === step.sha256) continue
    if (sha256 !== undefined) {
      throw new Error(
        `migrations/clickhouse/${step.name} was changed after it was applied to this database (statement ${step.statement}). ` +
          'Put the file back and write the change as a new migration.',
      )
    }
    await applyStep(client, step)
    touched.add(step.name)
  }
  return [...touched]
}

type Step = { readonly name: string; readonly statement: number; readonly sql: string; readonly sha256: string }

async function applyStep(client: FactsClient, step: Step): Promise<void> {
  try {
    await client.command({ query: step.sql })
  } catch (cause) {
    const place = `migrations/clickhouse/${step.name}, statement ${step.statement}`
    throw new Error(`${place}: ${(cause as Error).message}`, { cause })
  }
  await client.insert({
    table: 'schema_migrations',
    values: [{ name: step.name, statement: step.statement, sha256: step.sha256 }],
    format: 'JSONEachRow',
  })
}

function readSteps(): readonly Step[] {
  const names = readdirSync(MIGRATIONS).filter((name) => MIGRATION_NAME.test(name))
  return names.sort().flatMap((name) =>
    splitStatements(readFileSync(new URL(name, MIGRATIONS), 'utf8')).map((sql, index) => ({
      name,
      statement: index + 1,
      sql,
      sha256: createHash('sha256').update(sql).digest('hex'),
    })),
  )
}

/** One match is a comment, a quoted text, a semicolon or any other character. */
const TOKEN = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^'\\]|\\[\s\S]|'')*'|`[^`]*`|"[^"]*"|;|[\s\S]/g

/** The statements of a migration without their comments. Semicolons in quotes and comments do not end one. */
export function splitStatements(sql: string): readonly string[] {
  const statements: string[] = []
  let current = ''
  for (const [token] of sql.matchAll(TOKEN)) {
    if (token === ';') {
      statements.push(current.trim())
      current = ''
    } else if (!token.startsWith('--') && !token.startsWith('/*')) current += token
  }
  return [...statements, current.trim()].filter((statement) => statement !== '')
}
