-- Who delivers. Every endpoint belongs to one of 64 shards, and every shard to one worker at a time: its owner reads what is due
-- ahead into memory without writing a row, and the end of a try is one DELETE and one INSERT.

-- A worker that has not renewed its lease is gone; its row goes, and with it everything that it may still want to record.
CREATE TABLE delivery_workers (
  worker_id uuid PRIMARY KEY,
  lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE delivery_shards (
  shard smallint PRIMARY KEY,
  -- Null: free to take.
  worker_id uuid,
  -- An owner died while it may have had any of the deliveries up to this one under way: each of them is marked before it is sent.
  suspect_to bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO delivery_shards (shard) SELECT generate_series(0, 63);

-- What was leased is due again.
INSERT INTO delivery_ready (delivery_id, created_at, endpoint_id, run_at, attempts, probes, crashes)
  SELECT delivery_id, created_at, endpoint_id, now(), attempts, probes, 0 FROM delivery_inflight;
DROP TABLE delivery_inflight;
ALTER TABLE delivery_ready ALTER COLUMN crashes SET DEFAULT 0;
-- Every row is in it. The condition hides it from statements that do not repeat it: the end of a try finds its row by its place, and
-- a planner that believes the table small would read the whole index for each instead.
DROP INDEX delivery_ready_by_endpoint;
CREATE INDEX delivery_ready_by_endpoint ON delivery_ready (endpoint_id, run_at, delivery_id) WHERE attempts >= 0;

-- Marks of deliveries that must not be sent again without a thought: those that may have killed a worker, and those that may
-- arrive once at most. The row of delivery_ready stays where it is.
CREATE TABLE delivery_marks (
  delivery_id bigint PRIMARY KEY,
  endpoint_id text NOT NULL,
  run_at timestamptz NOT NULL,
  -- Null: its worker died.
  worker_id uuid,
  -- Workers that died while they had it, in a row.
  crashes smallint NOT NULL DEFAULT 0,
  is_once boolean NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_marks_by_worker ON delivery_marks (worker_id);
ALTER TABLE delivery_workers ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_shards ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_marks ENABLE ROW LEVEL SECURITY;

-- An attempt that ended its delivery says so itself; delivery_finals is left to what ended without one.
ALTER TABLE delivery_attempts ADD COLUMN reason text;
ALTER TABLE delivery_attempts RENAME COLUMN lease_token TO try_no;
ALTER TABLE delivery_attempts DISABLE TRIGGER delivery_attempts_append_only;
UPDATE delivery_attempts AS a SET reason = f.reason FROM delivery_finals AS f
  WHERE f.delivery_id = a.delivery_id AND f.attempts = a.attempt_no AND f.state = a.outcome AND NOT a.is_fenced;
ALTER TABLE delivery_attempts ENABLE TRIGGER delivery_attempts_append_only;
DELETE FROM delivery_finals AS f USING delivery_attempts AS a
  WHERE f.delivery_id = a.delivery_id AND f.attempts = a.attempt_no AND f.state = a.outcome AND NOT a.is_fenced;

CREATE OR REPLACE VIEW delivery_ends WITH (security_invoker = true) AS
  SELECT delivery_id, created_at, endpoint_id, outcome AS state, reason, attempt_no AS attempts,
    attempted_at + total_ms * interval '1 ms' AS finished_at
  FROM delivery_attempts WHERE outcome <> 'retry' AND NOT is_fenced
  UNION ALL
  SELECT delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at FROM delivery_finals;
GRANT SELECT ON delivery_ends TO waypost_tenant;
