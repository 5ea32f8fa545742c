import type { Tx } from '#platform/postgres'

import type { BatchCounts } from './batch.ts'

const ADD = `
  INSERT INTO pipeline_counters AS c
    (log_partition, clicks, duplicate_clicks, events, duplicate_events, postbacks, undecodable, damaged)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
  ON CONFLICT (log_partition) DO UPDATE SET clicks = c.clicks + excluded.clicks,
    duplicate_clicks = c.duplicate_clicks + excluded.duplicate_clicks, events = c.events + excluded.events,
    duplicate_events = c.duplicate_events + excluded.duplicate_events, postbacks = c.postbacks + excluded.postbacks,
    undecodable = c.undecodable + excluded.undecodable, damaged = c.damaged + excluded.damaged`

/** Adds what became of a batch, in the transaction that moves the position past it. */
export async function addCounts(tx: Tx, partition: string, counts: BatchCounts): Promise<void> {
  await tx.query(ADD, [
    partition,
    counts.clicks,
    counts.duplicate_clicks,
    counts.events,
    counts.duplicate_events,
    counts.postbacks,
    counts.undecodable,
    counts.damaged,
  ])
}
