-- Tenants never meet: whoever reads for an advertiser or an affiliate does it as the role waypost_tenant, with the tenant's
-- ids in settings of the transaction, and sees the rows that are its own. A query that forgets its filter then finds too
-- little, never too much. The owner of the tables (pipeline, delivery, the owner's own API keys) is not restricted.
--
-- No setting: no rows. Tables without a policy, and columns without a grant, are closed to tenants.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'waypost_tenant') THEN
    CREATE ROLE waypost_tenant NOLOGIN;
  END IF;
  IF NOT pg_has_role(current_user, 'waypost_tenant', 'SET') THEN
    GRANT waypost_tenant TO CURRENT_USER;
  END IF;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE EXCEPTION 'The role waypost_tenant is missing, and this user may not make it.'
    USING HINT = 'As a superuser: CREATE ROLE waypost_tenant NOLOGIN; GRANT waypost_tenant TO <this user>;';
-- Roles belong to the server, and another database on it may be migrated at the same moment.
WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

CREATE FUNCTION tenant_advertiser_id() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('waypost.advertiser_id', true), '');
CREATE FUNCTION tenant_affiliate_id() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('waypost.affiliate_id', true), '');

-- Own rows of an advertiser: those with its id. Own rows of an affiliate: those with its id, and where its key is for one
-- advertiser, with that one's id too.
CREATE FUNCTION is_tenants_own(row_advertiser_id text, row_affiliate_id text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN CASE
    WHEN tenant_affiliate_id() IS NOT NULL THEN
      row_affiliate_id = tenant_affiliate_id()
      AND (tenant_advertiser_id() IS NULL OR row_advertiser_id = tenant_advertiser_id())
    ELSE row_advertiser_id = tenant_advertiser_id()
  END;
CREATE FUNCTION is_tenants_advertiser(row_advertiser_id text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN tenant_affiliate_id() IS NULL AND row_advertiser_id = tenant_advertiser_id();

ALTER TABLE advertisers ENABLE ROW LEVEL SECURITY;
ALTER TABLE affiliates ENABLE ROW LEVEL SECURITY;
ALTER TABLE affiliate_memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE offers ENABLE ROW LEVEL SECURITY;
ALTER TABLE campaigns ENABLE ROW LEVEL SECURITY;
ALTER TABLE links ENABLE ROW LEVEL SECURITY;
ALTER TABLE postback_endpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE config_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversions ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversion_revisions ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_transactions ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE inbound_postbacks ENABLE ROW LEVEL SECURITY;
ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_ready ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_inflight ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_deferred ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_finals ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery_why_not ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_reads ON affiliate_memberships FOR SELECT TO waypost_tenant
  USING (is_tenants_own(advertiser_id, affiliate_id));
CREATE POLICY tenant_reads ON advertisers FOR SELECT TO waypost_tenant
  USING (advertiser_id IN (SELECT m.advertiser_id FROM affiliate_memberships m) OR is_tenants_advertiser(advertiser_id));
CREATE POLICY tenant_reads ON affiliates FOR SELECT TO waypost_tenant
  USING (affiliate_id = tenant_affiliate_id() OR affiliate_id IN (SELECT m.affiliate_id FROM affiliate_memberships m));
CREATE POLICY tenant_reads ON offers FOR SELECT TO waypost_tenant USING (is_tenants_advertiser(advertiser_id));
CREATE POLICY tenant_reads ON campaigns FOR SELECT TO waypost_tenant USING (is_tenants_own(advertiser_id, affiliate_id));
CREATE POLICY tenant_reads ON postback_endpoints FOR SELECT TO waypost_tenant
  USING (is_tenants_own(advertiser_id, scope ->> 'affiliate_id'));

CREATE POLICY tenant_reads ON conversions FOR SELECT TO waypost_tenant USING (is_tenants_own(advertiser_id, affiliate_id));
CREATE POLICY tenant_reads ON conversion_revisions FOR SELECT TO waypost_tenant
  USING (EXISTS (SELECT FROM conversions c WHERE c.conversion_id = conversion_revisions.conversion_id));

-- An affiliate sees its own accounts, never those of the advertiser or the platform: their difference is the margin.
CREATE POLICY tenant_reads ON ledger_accounts FOR SELECT TO waypost_tenant USING (is_tenants_own(advertiser_id, affiliate_id));
CREATE POLICY tenant_reads ON ledger_entries FOR SELECT TO waypost_tenant
  USING (EXISTS (SELECT FROM ledger_accounts a WHERE a.account_id = ledger_entries.account_id));
CREATE POLICY tenant_reads ON ledger_transactions FOR SELECT TO waypost_tenant
  USING (EXISTS (SELECT FROM ledger_entries e WHERE e.transaction_id = ledger_transactions.transaction_id));

-- What the advertiser's server sent is between it and the platform.
CREATE POLICY tenant_reads ON inbound_postbacks FOR SELECT TO waypost_tenant USING (is_tenants_advertiser(advertiser_id));

-- An affiliate sees what went to its own endpoints; what its conversions made others send is theirs.
CREATE POLICY tenant_reads ON deliveries FOR SELECT TO waypost_tenant
  USING (
    is_tenants_own(advertiser_id, affiliate_id)
    AND (tenant_affiliate_id() IS NULL OR endpoint_id IN (SELECT e.endpoint_id FROM postback_endpoints e))
  );
CREATE POLICY tenant_reads ON delivery_why_not FOR SELECT TO waypost_tenant
  USING (
    is_tenants_own(advertiser_id, affiliate_id)
    AND (tenant_affiliate_id() IS NULL OR endpoint_id IN (SELECT e.endpoint_id FROM postback_endpoints e))
  );
CREATE POLICY tenant_reads ON delivery_attempts FOR SELECT TO waypost_tenant
  USING (EXISTS (SELECT FROM deliveries d WHERE d.delivery_id = delivery_attempts.delivery_id));
CREATE POLICY tenant_reads ON delivery_finals FOR SELECT TO waypost_tenant
  USING (EXISTS (SELECT FROM deliveries d WHERE d.delivery_id = delivery_finals.delivery_id));
CREATE POLICY tenant_reads ON delivery_ready FOR SELECT TO waypost_tenant
  USING (EXISTS (SELECT FROM deliveries d WHERE d.delivery_id = delivery_ready.delivery_id));
CREATE POLICY tenant_reads ON delivery_inflight FOR SELECT TO waypost_tenant
  USING (EXISTS (SELECT FROM deliveries d WHERE d.delivery_id = delivery_inflight.delivery_id));
CREATE POLICY tenant_reads ON delivery_deferred FOR SELECT TO waypost_tenant
  USING (EXISTS (SELECT FROM deliveries d WHERE d.delivery_id = delivery_deferred.delivery_id));

GRANT SELECT ON affiliate_memberships, advertisers, affiliates, campaigns, conversions, conversion_revisions, ledger_accounts,
  ledger_entries, ledger_transactions, inbound_postbacks, deliveries, delivery_why_not, delivery_attempts, delivery_finals,
  delivery_ready, delivery_inflight, delivery_deferred TO waypost_tenant;
-- Not the secrets.
GRANT SELECT (offer_id, advertiser_id, name, status, model, currency) ON offers TO waypost_tenant;
GRANT SELECT (endpoint_id, advertiser_id, name, status, scope, triggers, method) ON postback_endpoints TO waypost_tenant;
