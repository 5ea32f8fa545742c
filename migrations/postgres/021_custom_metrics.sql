-- Metrics that somebody has made of others by a formula. Each belongs to who made it: the owner of the installation (neither id), an
-- advertiser, or an affiliate, whose metrics hold with every advertiser.

CREATE TABLE custom_metrics (
  custom_metric_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  advertiser_id text,
  affiliate_id text,
  name text NOT NULL,
  title text NOT NULL,
  description text NOT NULL DEFAULT '',
  formula text NOT NULL,
  -- How its numbers are shown; NULL: as its unit is.
  format text,
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', now()),
  updated_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', now()),
  CHECK (num_nonnulls(advertiser_id, affiliate_id) <= 1),
  UNIQUE NULLS NOT DISTINCT (advertiser_id, affiliate_id, name)
);

ALTER TABLE custom_metrics ENABLE ROW LEVEL SECURITY;

-- A tenant reads and writes its own, and the ids of a row are always its own: those of its transaction.
CREATE FUNCTION is_tenants_metric(row_advertiser_id text, row_affiliate_id text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN CASE
    WHEN tenant_affiliate_id() IS NOT NULL THEN row_affiliate_id = tenant_affiliate_id()
    ELSE row_affiliate_id IS NULL AND row_advertiser_id = tenant_advertiser_id()
  END;
CREATE POLICY tenant_owns ON custom_metrics TO waypost_tenant
  USING (is_tenants_metric(advertiser_id, affiliate_id)) WITH CHECK (is_tenants_metric(advertiser_id, affiliate_id));
GRANT SELECT, INSERT, UPDATE, DELETE ON custom_metrics TO waypost_tenant;
