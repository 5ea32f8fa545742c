import { applyConfiguration, findVersion } from '#configuration'
import { createPool, migratePostgres, type EmbeddedPostgres, type Pool } from '#platform/postgres'
import type { Snapshot } from '#routing'
import { givenSecretKeys, useSecretKeys } from '#secrets'
import { deliveryConfiguration } from './configuration.ts'

/** The databases of a run, all on one server. */
export type DeliveryDatabases = {
  /** An empty one for a peer. */
  readonly createEmpty: () => Promise<Database>
  /** A copy of the migrated and configured one. */
  readonly createOurs: () => Promise<Database>
  readonly close: () => Promise<void>
}

export type Database = {
  readonly url: string
  /** Statistics as autovacuum would leave them, and nothing left to write: the same start for everyone. */
  readonly settle: () => Promise<void>
  readonly drop: () => Promise<void>
}

// The same in every process of a run.
useSecretKeys(givenSecretKeys([Buffer.alloc(32, 'bench').toString('base64')]))

const TEMPLATE = 'delivery_template'

function urlOf(server: EmbeddedPostgres, name: string): string {
  const url = new URL(server.url)
  url.pathname = `/${name}`
  return url.href
}

/** Makes the template with one endpoint per affiliate at the receiver. */
export async function prepareDatabases(
  server: EmbeddedPostgres,
  origins: readonly string[],
): Promise<DeliveryDatabases> {
  // Loading a million rows or copying a database takes longer than a statement of the product may.
  const admin = createPool(server.url, { max: 1, statementTimeoutMs: 0 })
  await admin.query(`DROP DATABASE IF EXISTS ${TEMPLATE}`)
  await admin.query(`CREATE DATABASE ${TEMPLATE}`)
  const template = createPool(urlOf(server, TEMPLATE), { max: 1 })
  await migratePostgres(template)
  const application = await applyConfiguration(template, deliveryConfiguration(origins), { by: 'bench' })
  await template.end()
  if (application.kind !== 'applied')
    throw new Error(`the configuration was not applied: ${JSON.stringify(application).slice(0, 500)}`)
  let made = 0
  const create = async (from: string): Promise<Database> => {
    const name = `delivery_${(made += 1)}`
    await admin.query(`CREATE DATABASE ${name} TEMPLATE ${from}`)
    return openDatabase(server, admin, name)
  }
  return {
    createEmpty: () => create('template0'),
    createOurs: () => create(TEMPLATE),
    close: () => admin.end(),
  }
}

const openDatabase = (server: EmbeddedPostgres, admin: Pool, name: string): Database => ({
  url: urlOf(server, name),
  settle: async () => {
    const pool = createPool(urlOf(server, name), { max: 1, statementTimeoutMs: 0 })
    await pool.query('VACUUM (ANALYZE)')
    await pool.query('CHECKPOINT')
    await pool.end()
  },
  drop: async () => void (await admin.query(`DROP DATABASE ${name} WITH (FORCE)`)),
})

/** The configuration that is in force. */
export async function readSnapshot(pool: Pool): Promise<Snapshot> {
  const newest = await findVersion(pool, undefined)
  if (newest === undefined) throw new Error('there is no configuration')
  return newest.snapshot
}

/** What PostgreSQL has on record of the deliveries. */
export type DeliveryRecord = {
  readonly deliveries: number
  readonly delivered: number
  readonly attempts: number
  /** Deliveries without an end on record, and without one in delivery_attempts. */
  readonly unended: number
  readonly unlogged: number
}

const RECORD = `
  SELECT (SELECT count(*) FROM deliveries) AS deliveries,
    (SELECT count(*) FROM delivery_ends WHERE state = 'delivered') AS delivered,
    (SELECT count(*) FROM delivery_attempts) AS attempts,
    (SELECT count(*) FROM deliveries AS d WHERE NOT EXISTS (
      SELECT FROM delivery_ends AS f WHERE f.delivery_id = d.delivery_id)) AS unended,
    (SELECT count(*) FROM deliveries AS d WHERE NOT EXISTS (
      SELECT FROM delivery_attempts AS a WHERE a.delivery_id = d.delivery_id)) AS unlogged`

export async function readDeliveryRecord(databaseUrl: string): Promise<DeliveryRecord> {
  const pool = createPool(databaseUrl, { max: 1, statementTimeoutMs: 0 })
  try {
    const { rows } = await pool.query<Record<keyof DeliveryRecord, bigint>>(RECORD)
    const [row] = rows
    return Object.fromEntries(Object.entries(row!).map(([name, count]) => [name, Number(count)])) as DeliveryRecord
  } finally {
    await pool.end()
  }
}
