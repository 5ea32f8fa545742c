-- Outbound postbacks. What waits is kept apart from what is remembered:
--
--   delivery_ready, delivery_inflight, delivery_deferred   narrow and hot: a row moves from one to the next by DELETE + INSERT
--   deliveries, delivery_attempts, delivery_finals, delivery_why_not   append only, partitioned by time, dropped by partition
--
-- A delivery is in exactly one hot table until its row in delivery_finals exists; docs/states/delivery.md has the picture.
-- Measured reason for the split: one wide table that is updated in place gives a fifth of the throughput and twice the WAL,
-- and its claims slow down by dead rows as soon as any transaction stays open.

CREATE SEQUENCE delivery_ids AS bigint;
-- Every lease gets a number of its own; a completion that names another one comes too late.
CREATE SEQUENCE delivery_lease_tokens AS bigint;

-- One message to one endpoint, as it will be sent: macros are filled, only the signature and its time are added per attempt.
-- created_at is cut to milliseconds, so that it survives a JavaScript Date and can stand in a page cursor.
CREATE TABLE deliveries (
  delivery_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  endpoint_id text NOT NULL,
  event_id uuid NOT NULL,
  -- 0 for the first delivery of an event to an endpoint; each replay counts one up.
  replay_no integer NOT NULL,
  kind text NOT NULL CHECK (kind IN ('auto', 'replay', 'test')),
  -- A trigger of the configuration, or 'test'.
  cause text NOT NULL,
  advertiser_id text,
  affiliate_id text,
  campaign_id text,
  offer_id text,
  click_id uuid NOT NULL,
  conversion_id uuid,
  conversion_revision integer,
  config_version integer NOT NULL,
  method text NOT NULL CHECK (method IN ('GET', 'POST')),
  url text NOT NULL,
  content_type text,
  body text,
  PRIMARY KEY (created_at, delivery_id)
) PARTITION BY RANGE (created_at);
CREATE TABLE deliveries_default PARTITION OF deliveries DEFAULT;
CREATE INDEX deliveries_by_id ON deliveries (delivery_id);
CREATE INDEX deliveries_by_click ON deliveries (click_id);
CREATE INDEX deliveries_by_conversion ON deliveries (conversion_id, conversion_revision);
CREATE INDEX deliveries_by_advertiser ON deliveries (advertiser_id, created_at DESC, delivery_id DESC);
CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id, created_at DESC, delivery_id DESC);

-- Idempotency stands apart, because a unique key of a partitioned table would have to contain the partition key.
CREATE TABLE delivery_keys (
  endpoint_id text NOT NULL,
  event_id uuid NOT NULL,
  replay_no integer NOT NULL,
  delivery_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (endpoint_id, event_id, replay_no)
);

-- Due now. `attempts` counts the tries already made, `probes` those of them that only asked whether the receiver is back and use up
-- nothing, `crashes` the leases lost since the last finished try.
CREATE TABLE delivery_ready (
  delivery_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  endpoint_id text NOT NULL,
  run_at timestamptz NOT NULL,
  attempts smallint NOT NULL,
  crashes smallint NOT NULL,
  probes smallint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_ready_by_endpoint ON delivery_ready (endpoint_id, run_at, delivery_id);

-- Leased by a worker until lease_until; then anyone may take it over.
CREATE TABLE delivery_inflight (
  delivery_id bigint PRIMARY KEY,
  created_at timestamptz NOT NULL,
  endpoint_id text NOT NULL,
  attempts smallint NOT NULL,
  crashes smallint NOT NULL,
  worker_id uuid NOT NULL,
  lease_token bigint NOT NULL,
  lease_until timestamptz NOT NULL,
  probes smallint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_inflight_by_lease ON delivery_inflight (lease_until);

-- Waiting for its next try.
CREATE TABLE delivery_deferred (
  delivery_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  endpoint_id text NOT NULL,
  run_at timestamptz NOT NULL,
  attempts smallint NOT NULL,
  probes smallint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_deferred_by_time ON delivery_deferred (run_at);

-- One row per HTTP try, also of a try whose lease was lost meanwhile (is_fenced: it decided nothing).
CREATE TABLE delivery_attempts (
  delivery_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  endpoint_id text NOT NULL,
  attempt_no smallint NOT NULL,
  attempted_at timestamptz NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('delivered', 'retry', 'gave_up')),
  http_status smallint,
  error text,
  error_detail text,
  first_byte_ms integer,
  total_ms integer NOT NULL,
  remote_address inet,
  response_head bytea,
  response_bytes integer NOT NULL,
  next_at timestamptz,
  worker_id uuid NOT NULL,
  lease_token bigint NOT NULL,
  is_fenced boolean NOT NULL,
  is_probe boolean NOT NULL DEFAULT false
) PARTITION BY RANGE (attempted_at);
CREATE TABLE delivery_attempts_default PARTITION OF delivery_attempts DEFAULT;
CREATE INDEX delivery_attempts_by_delivery ON delivery_attempts (delivery_id, attempt_no);

-- How a delivery ended. The key makes a second end impossible.
CREATE TABLE delivery_finals (
  delivery_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  endpoint_id text NOT NULL,
  state text NOT NULL CHECK (state IN ('delivered', 'gave_up', 'quarantined', 'cancelled')),
  reason text,
  attempts smallint NOT NULL,
  finished_at timestamptz NOT NULL,
  PRIMARY KEY (created_at, delivery_id)
) PARTITION BY RANGE (created_at);
CREATE TABLE delivery_finals_default PARTITION OF delivery_finals DEFAULT;

-- What was not sent although scope and trigger fit, and why: the answer to the first question of every partner.
CREATE TABLE delivery_why_not (
  at timestamptz NOT NULL,
  endpoint_id text NOT NULL,
  event_id uuid NOT NULL,
  cause text NOT NULL,
  reason text NOT NULL,
  detail text,
  advertiser_id text,
  affiliate_id text,
  click_id uuid NOT NULL,
  conversion_id uuid,
  conversion_revision integer,
  config_version integer NOT NULL,
  PRIMARY KEY (at, endpoint_id, event_id)
) PARTITION BY RANGE (at);
CREATE TABLE delivery_why_not_default PARTITION OF delivery_why_not DEFAULT;
CREATE INDEX delivery_why_not_by_click ON delivery_why_not (click_id);
CREATE INDEX delivery_why_not_by_conversion ON delivery_why_not (conversion_id, conversion_revision);

CREATE TRIGGER deliveries_append_only BEFORE UPDATE ON deliveries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER delivery_attempts_append_only BEFORE UPDATE ON delivery_attempts
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER delivery_finals_append_only BEFORE UPDATE ON delivery_finals
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
