-- What is due and about an affiliate or advertiser that is paused by hand. Apart from delivery_ready, so that it stands in the way of
-- nobody: whoever reads what is due for an endpoint never meets it. A row moves here when its worker meets it, and back when
-- nothing of it is paused any more, each time within one statement, and keeps the time since which it is due.
CREATE TABLE delivery_held (
  delivery_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  endpoint_id text NOT NULL,
  run_at timestamptz NOT NULL,
  attempts smallint NOT NULL,
  probes smallint NOT NULL,
  -- Those of the delivery; '' where it has none, so that groups of them can be stepped through in the index.
  affiliate_id text NOT NULL,
  advertiser_id text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_held_by_subject ON delivery_held (endpoint_id, affiliate_id, advertiser_id);
ALTER TABLE delivery_held ENABLE ROW LEVEL SECURITY;
