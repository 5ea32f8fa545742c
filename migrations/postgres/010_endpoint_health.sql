-- How endpoints are sent to, and when they are not: rotated secrets, quotas, rules of success, pauses by hand, and receivers that
-- fail for days.

ALTER TABLE postback_endpoints
  -- Signs beside `secret` until its end.
  ADD COLUMN previous_secret text,
  ADD COLUMN previous_secret_until timestamptz,
  ADD COLUMN quota jsonb,
  ADD COLUMN retry jsonb,
  ADD COLUMN success jsonb,
  ADD COLUMN final_statuses jsonb;

-- What is paused by hand, beside the configuration: a pause is for now and is no version.
CREATE TABLE delivery_pauses (
  object text NOT NULL CHECK (object IN ('endpoint', 'affiliate', 'advertiser')),
  object_id text NOT NULL,
  paused_at timestamptz NOT NULL DEFAULT now(),
  paused_by text NOT NULL,
  note text,
  PRIMARY KEY (object, object_id)
);

-- Endpoints that failed and had no success since: a success ends the row.
CREATE TABLE endpoint_states (
  endpoint_id text PRIMARY KEY,
  -- The first failure after the last success, and the last one.
  failing_since timestamptz NOT NULL,
  last_failure_at timestamptz NOT NULL,
  -- Hours of failing of which was warned: 0, 24 or 72.
  warned_hours smallint NOT NULL DEFAULT 0,
  disabled_at timestamptz,
  disabled_reason text CHECK (disabled_reason IN ('failing', 'gone')),
  -- When one delivery asks whether the receiver is back; NULL: never, a person has to enable it.
  probe_at timestamptz,
  CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);

-- How much of its quota an endpoint has had in its newest period. Counted in blocks, taken before they are used, so that no delivery
-- waits for this row and a crash can only waste the rest of a block.
CREATE TABLE endpoint_quotas (
  endpoint_id text NOT NULL,
  per text NOT NULL,
  zone text NOT NULL,
  period_start timestamptz NOT NULL,
  taken bigint NOT NULL,
  PRIMARY KEY (endpoint_id, per, zone)
);

-- What an operator should know: a handful for each outage.
CREATE TABLE notices (
  notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', now()),
  kind text NOT NULL,
  endpoint_id text,
  advertiser_id text,
  affiliate_id text,
  details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX notices_by_time ON notices (at DESC, notice_id DESC);

ALTER TABLE delivery_pauses ENABLE ROW LEVEL SECURITY;
ALTER TABLE endpoint_states ENABLE ROW LEVEL SECURITY;
ALTER TABLE endpoint_quotas ENABLE ROW LEVEL SECURITY;
ALTER TABLE notices ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_reads ON notices FOR SELECT TO waypost_tenant USING (is_tenants_own(advertiser_id, affiliate_id));
GRANT SELECT ON notices TO waypost_tenant;
