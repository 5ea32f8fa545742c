-- What is known of deliveries, and for how long: history by day, made ahead and dropped; what is remembered where a day was dropped;
-- replays by filter; counts of attempts by endpoint. src/postbacks/history makes and drops the partitions.

-- A key must be unique over all partitions, and PostgreSQL can promise that only where it holds the partition key. So keys are
-- partitioned by the day of the click, which the click's id tells: the same event always has the same click, and its repeat
-- meets its own key. By the day of the key's making the same event could get two keys on two days.
CREATE FUNCTION delivery_key_day(click_id uuid) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN coalesce((uuid_extract_timestamp(click_id) AT TIME ZONE 'UTC')::date, date '1970-01-01');

ALTER TABLE delivery_keys RENAME TO delivery_keys_before;
CREATE TABLE delivery_keys (
  endpoint_id text NOT NULL,
  event_id uuid NOT NULL,
  replay_no integer NOT NULL,
  delivery_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  clicked_on date NOT NULL,
  PRIMARY KEY (endpoint_id, event_id, replay_no, clicked_on)
) PARTITION BY RANGE (clicked_on);
CREATE TABLE delivery_keys_default PARTITION OF delivery_keys DEFAULT;
INSERT INTO delivery_keys (endpoint_id, event_id, replay_no, delivery_id, created_at, clicked_on)
SELECT k.endpoint_id, k.event_id, k.replay_no, k.delivery_id, k.created_at, delivery_key_day(d.click_id)
FROM delivery_keys_before AS k JOIN deliveries AS d ON d.created_at = k.created_at AND d.delivery_id = k.delivery_id;
DROP TABLE delivery_keys_before;
ALTER TABLE delivery_keys ENABLE ROW LEVEL SECURITY;

-- How often an event went to an endpoint, for those too who may not read keys: it tells nothing else. Not inlined, on purpose.
CREATE FUNCTION newest_replay_no(of_endpoint_id text, of_event_id uuid, of_click_id uuid) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT max(replay_no) FROM delivery_keys
  WHERE endpoint_id = of_endpoint_id AND event_id = of_event_id AND clicked_on = delivery_key_day(of_click_id)
$$;

-- The last try of a delivery whose attempts are in ClickHouse only: lists and replays still find it by status and error.
-- Written when a day of delivery_attempts is dropped; dropped with the deliveries of its day.
CREATE TABLE delivery_last_tries (
  delivery_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  attempts smallint NOT NULL,
  attempted_at timestamptz NOT NULL,
  http_status smallint,
  error text,
  PRIMARY KEY (created_at, delivery_id)
) PARTITION BY RANGE (created_at);
CREATE TABLE delivery_last_tries_default PARTITION OF delivery_last_tries DEFAULT;

-- From when on a table is complete: what is older was dropped.
CREATE TABLE delivery_horizons (
  table_name text PRIMARY KEY,
  kept_from timestamptz NOT NULL
);
CREATE FUNCTION delivery_kept_from(of_table text) RETURNS timestamptz LANGUAGE sql STABLE
  RETURN coalesce((SELECT kept_from FROM delivery_horizons WHERE table_name = of_table), '-infinity');

-- How far a day of delivery_attempts is in ClickHouse. Rows are taken by the blocks of the table, so that the same part of it
-- always has the same rows; a generation is one whole pass over the day.
CREATE TABLE delivery_archives (
  day date PRIMARY KEY,
  generation integer NOT NULL,
  next_block bigint NOT NULL
);

CREATE INDEX delivery_why_not_by_endpoint ON delivery_why_not (endpoint_id, at DESC, event_id DESC);
CREATE INDEX delivery_why_not_by_advertiser ON delivery_why_not (advertiser_id, at DESC);
CREATE INDEX delivery_why_not_newest ON delivery_why_not (at DESC, event_id DESC, endpoint_id DESC);

-- Replays of everything that fits a filter, by one worker at a time, from (cursor_at, cursor_id) on.
CREATE TABLE delivery_replays (
  replay_id uuid PRIMARY KEY,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  -- Who asked, and sees no other deliveries than its own; all null: the owner.
  role text NOT NULL CHECK (role IN ('owner', 'advertiser', 'affiliate')),
  advertiser_id text,
  affiliate_id text,
  filter jsonb NOT NULL,
  -- Deliveries created before it; those of the replay itself come later.
  to_at timestamptz NOT NULL,
  per_minute integer NOT NULL CHECK (per_minute > 0),
  state text NOT NULL CHECK (state IN ('running', 'done', 'cancelled')),
  cursor_at timestamptz NOT NULL,
  cursor_id bigint NOT NULL,
  replayed bigint NOT NULL DEFAULT 0,
  skipped jsonb NOT NULL DEFAULT '{}',
  next_at timestamptz NOT NULL,
  finished_at timestamptz
);
CREATE INDEX delivery_replays_running ON delivery_replays (next_at) WHERE state = 'running';
CREATE INDEX delivery_replays_by_time ON delivery_replays (created_at DESC, replay_id DESC);

-- Attempts of an endpoint in spans of 5 minutes and of an hour, added up by every worker. latency_counts counts by steps of the
-- latency; src/postbacks/metrics/endpoint-spans.ts has the steps.
CREATE TABLE delivery_endpoint_spans (
  endpoint_id text NOT NULL,
  span_minutes smallint NOT NULL CHECK (span_minutes IN (5, 60)),
  span_start timestamptz NOT NULL,
  delivered bigint NOT NULL,
  retried bigint NOT NULL,
  gave_up bigint NOT NULL,
  latency_counts bigint[] NOT NULL,
  PRIMARY KEY (endpoint_id, span_minutes, span_start)
) PARTITION BY RANGE (span_start);
CREATE TABLE delivery_endpoint_spans_default PARTITION OF delivery_endpoint_spans DEFAULT;

CREATE TABLE delivery_endpoint_lasts (
  endpoint_id text PRIMARY KEY,
  succeeded_at timestamptz,
  failed_at timestamptz,
  failed_delivery_id bigint,
  http_status smallint,
  error text,
  error_detail text
) WITH (fillfactor = 50);

-- A tenant's ends, attempts and places in the queue are found by the whole key of their delivery: by its id alone PostgreSQL
-- would look into every day.
ALTER POLICY tenant_reads ON delivery_attempts USING (EXISTS (
  SELECT FROM deliveries d WHERE d.created_at = delivery_attempts.created_at AND d.delivery_id = delivery_attempts.delivery_id));
ALTER POLICY tenant_reads ON delivery_finals USING (EXISTS (
  SELECT FROM deliveries d WHERE d.created_at = delivery_finals.created_at AND d.delivery_id = delivery_finals.delivery_id));
ALTER POLICY tenant_reads ON delivery_ready USING (EXISTS (
  SELECT FROM deliveries d WHERE d.created_at = delivery_ready.created_at AND d.delivery_id = delivery_ready.delivery_id));
ALTER POLICY tenant_reads ON delivery_inflight USING (EXISTS (
  SELECT FROM deliveries d WHERE d.created_at = delivery_inflight.created_at AND d.delivery_id = delivery_inflight.delivery_id));
ALTER POLICY tenant_reads ON delivery_deferred USING (EXISTS (
  SELECT FROM deliveries d WHERE d.created_at = delivery_deferred.created_at AND d.delivery_id = delivery_deferred.delivery_id));

ALTER VIEW delivery_ends SET (security_invoker = true);

ALTER TABLE delivery_last_tries ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_horizons ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_archives ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_replays ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_endpoint_spans ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_endpoint_lasts ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_reads ON delivery_last_tries FOR SELECT TO waypost_tenant USING (EXISTS (
  SELECT FROM deliveries d WHERE d.created_at = delivery_last_tries.created_at AND d.delivery_id = delivery_last_tries.delivery_id));
CREATE POLICY tenant_reads ON delivery_replays FOR SELECT TO waypost_tenant
  USING (role <> 'owner' AND is_tenants_own(advertiser_id, affiliate_id) AND (tenant_affiliate_id() IS NOT NULL) = (role = 'affiliate'));
CREATE POLICY tenant_reads ON delivery_endpoint_spans FOR SELECT TO waypost_tenant
  USING (endpoint_id IN (SELECT e.endpoint_id FROM postback_endpoints e));
CREATE POLICY tenant_reads ON delivery_endpoint_lasts FOR SELECT TO waypost_tenant
  USING (endpoint_id IN (SELECT e.endpoint_id FROM postback_endpoints e));
-- Says of the whole installation how far back it remembers, and nothing of anybody.
CREATE POLICY tenant_reads ON delivery_horizons FOR SELECT TO waypost_tenant USING (true);
GRANT SELECT ON delivery_ends, delivery_horizons, delivery_last_tries, delivery_replays, delivery_endpoint_spans, delivery_endpoint_lasts
  TO waypost_tenant;
