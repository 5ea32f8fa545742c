-- Exchange rates by day, and what was imported of costs.

-- One unit of `base` is `rate` units of `currency` on `day`. A row is never changed: a correction is a further row, the newest of a
-- day counts, and a report can be asked as of a moment.
CREATE TABLE exchange_rates (
  rate_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  base text NOT NULL CHECK (base ~ '^[A-Z]{3}$'),
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$' AND currency <> base),
  day date NOT NULL,
  rate numeric(24, 12) NOT NULL CHECK (rate > 0),
  source text NOT NULL,
  stored_by text NOT NULL,
  stored_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX exchange_rates_newest ON exchange_rates (currency, base, day, rate_id DESC);

CREATE TRIGGER exchange_rates_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON exchange_rates
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- How the daily fetch of rates went last; one row at most.
CREATE TABLE exchange_rate_fetches (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  tried_at timestamptz NOT NULL,
  succeeded_at timestamptz,
  stored integer,
  newest_day date,
  problem text
);

-- An import is known by its key. What it says in one go is a version; a later version takes its place in the facts by rows of the
-- opposite sign. `booking`: its rows may be in the facts in part, and are completed by whoever comes next.
CREATE TABLE cost_imports (
  import_id uuid PRIMARY KEY,
  advertiser_id text NOT NULL,
  import_key text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (advertiser_id, import_key)
);
CREATE INDEX cost_imports_by_time ON cost_imports (created_at DESC, import_id);

CREATE TABLE cost_import_versions (
  import_id uuid NOT NULL REFERENCES cost_imports,
  version integer NOT NULL CHECK (version > 0),
  kind text NOT NULL CHECK (kind IN ('import', 'correction', 'respread', 'deletion')),
  state text NOT NULL CHECK (state IN ('booking', 'booked')),
  -- Of the rows and options: the same again books nothing.
  content_hash text NOT NULL,
  idempotency_key text,
  advertiser_id text NOT NULL,
  timezone text NOT NULL,
  spread text NOT NULL CHECK (spread IN ('clicks', 'uniques', 'humans')),
  -- Places of the log below which clicks count for this version, by partition: the same clicks however often it is booked again.
  positions jsonb NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  booked_at timestamptz,
  PRIMARY KEY (import_id, version),
  UNIQUE (advertiser_id, idempotency_key)
);
CREATE INDEX cost_import_versions_booking ON cost_import_versions (created_at) WHERE state = 'booking';

CREATE TABLE cost_import_rows (
  import_id uuid NOT NULL,
  version integer NOT NULL,
  row_no integer NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  dimensions jsonb NOT NULL,
  amount_micros bigint NOT NULL,
  currency text NOT NULL,
  -- Clicks that bear it; null until it is booked. 0: it stands in reports by its dimensions alone.
  clicks bigint,
  PRIMARY KEY (import_id, version, row_no),
  FOREIGN KEY (import_id, version) REFERENCES cost_import_versions
);

ALTER TABLE exchange_rates ENABLE ROW LEVEL SECURITY;
ALTER TABLE exchange_rate_fetches ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_imports ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_import_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_import_rows ENABLE ROW LEVEL SECURITY;

-- What traffic cost is the advertiser's own business: its affiliates see nothing of it.
CREATE POLICY tenant_reads ON cost_imports FOR SELECT TO waypost_tenant USING (is_tenants_advertiser(advertiser_id));
CREATE POLICY tenant_reads ON cost_import_versions FOR SELECT TO waypost_tenant USING (is_tenants_advertiser(advertiser_id));
CREATE POLICY tenant_reads ON cost_import_rows FOR SELECT TO waypost_tenant
  USING (EXISTS (SELECT FROM cost_imports i WHERE i.import_id = cost_import_rows.import_id));
GRANT SELECT ON cost_imports, cost_import_versions, cost_import_rows TO waypost_tenant;
