-- Work in the background that somebody asked for or a schedule began: exports, scheduled reports, archives. One row is one job:
-- queued -> running -> done | failed | cancelled; a run that is to be tried again goes back to queued.
--
-- A running job is held by a lease that its process renews. When the process dies the lease runs out, and the next claim raises
-- the fence: whoever comes back with an older fence writes nothing.

CREATE TABLE jobs (
  job_id uuid PRIMARY KEY,
  kind text NOT NULL,
  -- Two jobs of a kind with the same key are one: a schedule names its moment here and may ask twice.
  dedupe_key text,
  input jsonb NOT NULL,
  -- For whom it works, and so what it may read.
  role text NOT NULL CHECK (role IN ('owner', 'advertiser', 'affiliate')),
  advertiser_id text,
  affiliate_id text,
  tenant text NOT NULL GENERATED ALWAYS AS (role || '/' || coalesce(advertiser_id, '') || '/' || coalesce(affiliate_id, '')) STORED,
  asked_by text NOT NULL,
  state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
  is_cancel_asked boolean NOT NULL DEFAULT false,
  done bigint NOT NULL DEFAULT 0,
  total bigint,
  result jsonb,
  error_code text,
  error text,
  run_at timestamptz NOT NULL DEFAULT now(),
  attempts integer NOT NULL DEFAULT 0,
  fence bigint NOT NULL DEFAULT 0,
  lease_until timestamptz,
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  started_at timestamptz,
  finished_at timestamptz,
  -- Until when what it made is kept; the row itself stays longer.
  expires_at timestamptz,
  -- What it made, or had begun to make, is gone.
  discarded_at timestamptz
);
CREATE UNIQUE INDEX jobs_dedupe ON jobs (kind, dedupe_key) WHERE dedupe_key IS NOT NULL;
CREATE INDEX jobs_due ON jobs (run_at) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_to_discard ON jobs (expires_at) WHERE discarded_at IS NULL AND state IN ('done', 'failed', 'cancelled');
CREATE INDEX jobs_newest ON jobs (created_at DESC, job_id DESC);
CREATE INDEX jobs_of_tenant ON jobs (tenant, created_at DESC, job_id DESC);

-- A tenant sees what was asked in its name: an advertiser not the jobs of its affiliates either, whose results are theirs.
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_reads ON jobs FOR SELECT TO waypost_tenant
  USING (
    is_tenants_own(advertiser_id, affiliate_id)
    AND role = CASE WHEN tenant_affiliate_id() IS NULL THEN 'advertiser' ELSE 'affiliate' END
  );
GRANT SELECT ON jobs TO waypost_tenant;
