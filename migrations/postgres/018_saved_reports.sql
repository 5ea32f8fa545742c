-- Reports that are kept by name, shared, and run by a schedule. Who saved one is an API key, and with it a tenant.

-- Row-level security knows the tenant; what is private belongs to one key of it.
CREATE FUNCTION tenant_api_key_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('waypost.api_key_id', true), '')::uuid;
CREATE FUNCTION tenant_role() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN CASE WHEN tenant_affiliate_id() IS NOT NULL THEN 'affiliate' WHEN tenant_advertiser_id() IS NOT NULL THEN 'advertiser' END;

CREATE TABLE saved_reports (
  saved_report_id uuid PRIMARY KEY,
  name text NOT NULL,
  folder text NOT NULL DEFAULT '',
  -- The parameters of GET /v1/reports.
  query jsonb NOT NULL,
  -- Name of a range that moves with the day; null: the query says from when to when.
  range text,
  api_key_id uuid NOT NULL REFERENCES api_keys,
  role text NOT NULL CHECK (role IN ('owner', 'advertiser', 'affiliate')),
  advertiser_id text,
  affiliate_id text,
  sharing text NOT NULL CHECK (sharing IN ('private', 'tenant', 'named')),
  shared_roles text[] NOT NULL DEFAULT '{}',
  shared_advertiser_ids text[] NOT NULL DEFAULT '{}',
  shared_affiliate_ids text[] NOT NULL DEFAULT '{}',
  created_at timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL
);
CREATE INDEX saved_reports_of_key ON saved_reports (api_key_id);

-- A link opens one report to whoever has it, without a key, until it expires or is revoked. What is in the link is sealed with the
-- installation's keys and not kept here.
CREATE TABLE saved_report_links (
  link_id uuid PRIMARY KEY,
  saved_report_id uuid NOT NULL REFERENCES saved_reports ON DELETE CASCADE,
  api_key_id uuid NOT NULL REFERENCES api_keys,
  created_at timestamptz(3) NOT NULL,
  expires_at timestamptz(3) NOT NULL,
  revoked_at timestamptz(3)
);
CREATE INDEX saved_report_links_of_report ON saved_report_links (saved_report_id);

CREATE TABLE report_schedules (
  schedule_id uuid PRIMARY KEY,
  saved_report_id uuid NOT NULL REFERENCES saved_reports ON DELETE CASCADE,
  cron text NOT NULL,
  timezone text NOT NULL,
  format text NOT NULL,
  keep_days integer NOT NULL,
  api_key_id uuid NOT NULL REFERENCES api_keys,
  role text NOT NULL CHECK (role IN ('owner', 'advertiser', 'affiliate')),
  advertiser_id text,
  affiliate_id text,
  state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'failed')),
  -- Runs in a row that failed.
  failures integer NOT NULL DEFAULT 0,
  next_at timestamptz(3),
  created_at timestamptz(3) NOT NULL
);
CREATE INDEX report_schedules_due ON report_schedules (next_at) WHERE state = 'active';
CREATE INDEX report_schedules_of_report ON report_schedules (saved_report_id);

-- One row is one moment of a schedule: two processes that find it due cannot both run it.
CREATE TABLE scheduled_runs (
  run_id uuid PRIMARY KEY,
  schedule_id uuid NOT NULL REFERENCES report_schedules ON DELETE CASCADE,
  due_at timestamptz(3) NOT NULL,
  -- Earlier moments that passed while nothing ran; this run stands for them.
  missed integer NOT NULL DEFAULT 0,
  state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'done', 'failed')),
  rows integer,
  error_code text,
  error text,
  finished_at timestamptz(3),
  file_name text,
  content_type text,
  -- A report has few rows; here it is there for every process of an installation, which a file on one machine is not.
  content bytea,
  expires_at timestamptz(3),
  UNIQUE (schedule_id, due_at)
);
CREATE INDEX scheduled_runs_to_empty ON scheduled_runs (expires_at) WHERE content IS NOT NULL;

ALTER TABLE saved_reports ENABLE ROW LEVEL SECURITY;
ALTER TABLE saved_report_links ENABLE ROW LEVEL SECURITY;
ALTER TABLE report_schedules ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduled_runs ENABLE ROW LEVEL SECURITY;

-- Seen by the key that saved it; by the other keys of its tenant where it is shared with them; by those whom it names, as far as
-- they have to do with whoever saved it: an advertiser with its affiliates, an affiliate with its advertisers, the owner with all.
CREATE POLICY tenant_reads ON saved_reports FOR SELECT TO waypost_tenant
  USING (
    api_key_id = tenant_api_key_id()
    OR (
      sharing = 'tenant' AND role = tenant_role() AND advertiser_id IS NOT DISTINCT FROM tenant_advertiser_id()
      AND affiliate_id IS NOT DISTINCT FROM tenant_affiliate_id()
    )
    OR (
      sharing = 'named'
      AND (
        tenant_role() = ANY (shared_roles)
        OR (tenant_role() = 'advertiser' AND tenant_advertiser_id() = ANY (shared_advertiser_ids))
        OR (tenant_role() = 'affiliate' AND tenant_affiliate_id() = ANY (shared_affiliate_ids))
      )
      AND (
        role = 'owner'
        OR (role = 'advertiser' AND tenant_role() = 'affiliate' AND EXISTS (
          SELECT FROM affiliate_memberships m
          WHERE m.advertiser_id = saved_reports.advertiser_id AND m.affiliate_id = tenant_affiliate_id()
        ))
        OR (role = 'affiliate' AND tenant_role() = 'advertiser' AND EXISTS (
          SELECT FROM affiliate_memberships m
          WHERE m.affiliate_id = saved_reports.affiliate_id AND m.advertiser_id = tenant_advertiser_id()
        ) AND (saved_reports.advertiser_id IS NULL OR saved_reports.advertiser_id = tenant_advertiser_id()))
      )
    )
  );
CREATE POLICY tenant_reads ON saved_report_links FOR SELECT TO waypost_tenant USING (api_key_id = tenant_api_key_id());
CREATE POLICY tenant_reads ON report_schedules FOR SELECT TO waypost_tenant USING (api_key_id = tenant_api_key_id());
CREATE POLICY tenant_reads ON scheduled_runs FOR SELECT TO waypost_tenant
  USING (EXISTS (SELECT FROM report_schedules s WHERE s.schedule_id = scheduled_runs.schedule_id));
GRANT SELECT ON saved_reports, saved_report_links, report_schedules TO waypost_tenant;
-- Not the content, which goes by its link.
GRANT SELECT (run_id, schedule_id, due_at, missed, state, rows, error_code, error, finished_at, file_name, content_type, expires_at)
  ON scheduled_runs TO waypost_tenant;
