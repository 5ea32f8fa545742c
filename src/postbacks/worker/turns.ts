import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { Claimed } from '../queue/queue.ts'

/** Turns of messages to endpoints with `ordered`, click by click:
 *
 *   read ──rank──▶ first of its click: sent as any other
 *            └───▶ behind another: parked (run_at = 'infinity') ──the one before ended──▶ due now, read again
 *
 * Only the owner of an endpoint ranks, parks and releases, and its statements come one after the other: a message is never parked
 * behind one that has just ended. What a worker that died left undone its successor finds when it opens the endpoint. Each
 * statement does nothing once its worker was taken for dead.
 */
const IS_ALIVE = (worker: string): string =>
  `EXISTS (SELECT FROM delivery_workers WHERE worker_id = ${worker}::uuid FOR KEY SHARE)`

/** In the order of delivery_id, behind those that were ranked before. A row that went meanwhile has ended. */
const RANK = `
  INSERT INTO delivery_order (delivery_id, endpoint_id, click_id)
  SELECT d.delivery_id, d.endpoint_id, d.click_id
  FROM unnest($1::bigint[], $2::timestamptz[], $3::tid[]) AS g(delivery_id, created_at, place)
  CROSS JOIN LATERAL (
    SELECT FROM delivery_ready AS w WHERE w.ctid = g.place AND w.delivery_id = g.delivery_id LIMIT 1
  ) AS r
  CROSS JOIN LATERAL (
    SELECT * FROM deliveries AS m WHERE m.created_at = g.created_at AND m.delivery_id = g.delivery_id LIMIT 1
  ) AS d
  WHERE ${IS_ALIVE('$4')}
  ORDER BY d.delivery_id
  ON CONFLICT DO NOTHING`

const PARK = `
  WITH ranked AS MATERIALIZED (
    SELECT g.delivery_id, g.place, EXISTS (
      SELECT FROM delivery_order AS e WHERE e.endpoint_id = o.endpoint_id AND e.click_id = o.click_id AND e.place < o.place
    ) AS is_behind
    FROM unnest($1::bigint[], $2::tid[]) AS g(delivery_id, place) JOIN delivery_order AS o USING (delivery_id)
  ), parked AS (
    UPDATE delivery_ready AS r SET run_at = 'infinity' FROM ranked AS g
    WHERE g.is_behind AND r.ctid = g.place AND r.delivery_id = g.delivery_id AND ${IS_ALIVE('$3')}
  )
  SELECT delivery_id AS "deliveryId" FROM ranked WHERE NOT is_behind`

/** The LIMITs keep the planner at one look-up for each, as where deliveries are read. */
const parkedRow = (of: string): string => `
  CROSS JOIN LATERAL (
    SELECT w.ctid AS place FROM delivery_ready AS w
    WHERE w.endpoint_id = ${of}.endpoint_id AND w.attempts >= 0 AND w.run_at = 'infinity' AND w.delivery_id = ${of}.delivery_id LIMIT 1
  ) AS p`

const ADVANCE = `
  WITH gone AS MATERIALIZED (
    SELECT g.delivery_id FROM unnest($1::bigint[], $2::tid[]) AS g(delivery_id, place)
    WHERE (SELECT count(*) FROM delivery_ready AS r WHERE r.ctid = g.place AND r.delivery_id = g.delivery_id) = 0
  ), ended AS (
    DELETE FROM delivery_order WHERE delivery_id = ANY(ARRAY(SELECT delivery_id FROM gone)) AND ${IS_ALIVE('$3')}
    RETURNING delivery_id, endpoint_id, click_id
  ), next AS MATERIALIZED (
    SELECT e.endpoint_id, (
      SELECT o.delivery_id FROM delivery_order AS o
      WHERE o.endpoint_id = e.endpoint_id AND o.click_id = e.click_id AND o.delivery_id NOT IN (SELECT delivery_id FROM ended)
      ORDER BY o.place LIMIT 1
    ) AS delivery_id FROM ended AS e
  ), parked AS MATERIALIZED (
    SELECT n.delivery_id, p.place FROM next AS n ${parkedRow('n')}
  )
  UPDATE delivery_ready AS r SET run_at = clock_timestamp() FROM parked AS p
  WHERE r.ctid = p.place AND r.delivery_id = p.delivery_id
  RETURNING r.endpoint_id AS "endpointId"`

/** What was put off or held while the endpoint had no order. */
const ADOPT = `
  INSERT INTO delivery_order (delivery_id, endpoint_id, click_id)
  SELECT d.delivery_id, d.endpoint_id, d.click_id
  FROM (
    SELECT created_at, delivery_id FROM delivery_deferred WHERE endpoint_id = ANY($1::text[])
    UNION ALL SELECT created_at, delivery_id FROM delivery_held WHERE endpoint_id = ANY($1::text[])
  ) AS f JOIN deliveries AS d ON d.created_at = f.created_at AND d.delivery_id = f.delivery_id
  WHERE ${IS_ALIVE('$2')}
  ORDER BY d.delivery_id
  ON CONFLICT DO NOTHING`

/** Ended without its owner: by expiry, by removal of the endpoint, after a crash. */
const CLEAR = `
  WITH waiting AS MATERIALIZED (
    SELECT delivery_id FROM delivery_ready WHERE endpoint_id = ANY($1::text[]) AND attempts >= 0
    UNION ALL SELECT delivery_id FROM delivery_deferred WHERE endpoint_id = ANY($1::text[])
    UNION ALL SELECT delivery_id FROM delivery_held WHERE endpoint_id = ANY($1::text[])
  )
  DELETE FROM delivery_order AS o WHERE o.endpoint_id = ANY($1::text[]) AND ${IS_ALIVE('$2')}
    AND NOT EXISTS (SELECT FROM waiting AS w WHERE w.delivery_id = o.delivery_id)`

const RELEASE = `
  WITH first AS MATERIALIZED (
    SELECT DISTINCT ON (endpoint_id, click_id) endpoint_id, delivery_id FROM delivery_order
    WHERE endpoint_id = ANY($1::text[]) ORDER BY endpoint_id, click_id, place
  ), parked AS MATERIALIZED (
    SELECT f.delivery_id, p.place FROM first AS f ${parkedRow('f')}
  )
  UPDATE delivery_ready AS r SET run_at = clock_timestamp() FROM parked AS p
  WHERE r.ctid = p.place AND r.delivery_id = p.delivery_id AND ${IS_ALIVE('$2')}`

const RANKED_ENDPOINTS = 'SELECT DISTINCT endpoint_id AS "endpointId" FROM delivery_order'

const DISBAND = `
  WITH gone AS (
    DELETE FROM delivery_order WHERE endpoint_id = ANY($1::text[]) AND ${IS_ALIVE('$2')}
  )
  UPDATE delivery_ready SET run_at = clock_timestamp()
  WHERE endpoint_id = ANY($1::text[]) AND attempts >= 0 AND run_at = 'infinity' AND ${IS_ALIVE('$2')}`

/** What runs with every reading and every end of an ordered endpoint. */
export const turnStatements = [RANK, PARK, ADVANCE] as const

type Ended = Pick<Claimed, 'deliveryId' | 'place'>

export type TurnsOptions = {
  readonly pool: Pool
  readonly workerId: string
  readonly logLines: LogLines
  /** Messages of these endpoints have their turn now. */
  readonly onReleased: (endpointIds: readonly string[]) => void
}

/** Whose turn it is at the endpoints of one worker. */
export class Turns {
  readonly #options: TurnsOptions
  /** Endpoints whose past is cleared up. */
  readonly #opened = new Set<string>()
  #ended: Ended[] = []
  #last: Promise<unknown> = Promise.resolve()
  #isAdvancing = false

  constructor(options: TurnsOptions) {
    this.#options = options
  }

  /** Clears up what a worker before left of these endpoints, once.
   * @throws what the database throws
   */
  async open(endpointIds: readonly string[]): Promise<void> {
    const closed = endpointIds.filter((endpointId) => !this.#opened.has(endpointId))
    if (closed.length === 0) return
    await this.#inTurn(async () => {
      await this.#options.pool.query(ADOPT, [closed, this.#options.workerId])
      await this.#clear(closed)
      for (const endpointId of closed) this.#opened.add(endpointId)
    })
    this.#options.onReleased(closed)
  }

  /** Ranks what was read and parks what is behind another.
   * @param fresh rows that are not in memory, none of them under way
   * @param underWay those that were under way before the endpoint had an order; they come first
   * @returns those whose turn it is
   * @throws what the database throws
   */
  async admit(fresh: readonly Claimed[], underWay: readonly Claimed[]): Promise<ReadonlySet<number>> {
    return this.#inTurn(async () => {
      if (underWay.length > 0) await this.#rank(underWay)
      if (fresh.length === 0) return new Set<number>()
      await this.#rank(fresh)
      const { rows } = await this.#options.pool.query<{ deliveryId: bigint }>(PARK, [
        fresh.map((row) => row.deliveryId),
        fresh.map((row) => row.place),
        this.#options.workerId,
      ])
      return new Set(rows.map((row) => Number(row.deliveryId)))
    })
  }

  /** These have their end on record. */
  end(ended: readonly Ended[]): void {
    this.#ended.push(...ended)
    this.advance()
  }

  /** Gives the next of each click its turn; what cannot be written is tried again by the next call. */
  advance(): void {
    if (this.#isAdvancing || this.#ended.length === 0) return
    this.#isAdvancing = true
    void this.#inTurn(() => this.#advance())
  }

  /** It has had something to rank since it was opened. */
  isOpen(endpointId: string): boolean {
    return this.#opened.has(endpointId)
  }

  /** The endpoint is another worker's, or was configured anew. */
  close(endpointId: string): void {
    this.#opened.delete(endpointId)
  }

  /** Finds what others ended, and lets go what needs no order any more.
   * @param isOrdered of an endpoint; undefined: it is not this worker's, or not known to it
   * @throws what the database throws
   */
  async sweep(isOrdered: (endpointId: string) => boolean | undefined): Promise<void> {
    await this.#inTurn(async () => {
      const { pool, workerId } = this.#options
      const { rows } = await pool.query<{ endpointId: string }>(RANKED_ENDPOINTS)
      const ids = rows.map((row) => row.endpointId)
      const ordered = ids.filter((endpointId) => isOrdered(endpointId) === true)
      const others = ids.filter((endpointId) => isOrdered(endpointId) === false)
      if (ordered.length > 0) await this.#clear(ordered)
      if (others.length > 0) await pool.query(DISBAND, [others, workerId])
      this.#options.onReleased([...ordered, ...others])
    })
  }

  /** Resolves when nothing of it is under way. */
  async idle(): Promise<void> {
    await this.#last
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }

  async #clear(endpointIds: readonly string[]): Promise<void> {
    const { pool, workerId } = this.#options
    await pool.query(CLEAR, [endpointIds, workerId])
    await pool.query(RELEASE, [endpointIds, workerId])
  }

  async #rank(rows: readonly Claimed[]): Promise<void> {
    await this.#options.pool.query(RANK, [
      rows.map((row) => row.deliveryId),
      rows.map((row) => row.createdAt),
      rows.map((row) => row.place),
      this.#options.workerId,
    ])
  }

  async #advance(): Promise<void> {
    this.#isAdvancing = false
    const ended = this.#ended
    this.#ended = []
    const { pool, workerId, logLines, onReleased } = this.#options
    const values = [ended.map((one) => one.deliveryId), ended.map((one) => one.place), workerId]
    try {
      const { rows } = await pool.query<{ endpointId: string }>(ADVANCE, values)
      if (rows.length > 0) onReleased([...new Set(rows.map((row) => row.endpointId))])
    } catch (error) {
      this.#ended.push(...ended)
      logLines.warn({ error }, 'messages wait, because the turn of the next cannot be written down')
    }
  }
}
