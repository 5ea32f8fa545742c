-- The configuration: what advertisers, affiliates, offers, campaigns, links and endpoints there are.
--
-- Ids are words that the user chooses ([a-z0-9][a-z0-9_.-]{0,62}), because they stand in links and reports. They are unique in
-- the installation: a link says `o=summer-sale` and nothing else. Nested parts (prices, landings, rules, weights) are jsonb
-- in the shape of the snapshot's types; the snapshot is compiled from these tables after every change.

CREATE TABLE advertisers (
  advertiser_id text PRIMARY KEY,
  name text NOT NULL,
  timezone text NOT NULL,
  currency text NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'paused')),
  domains jsonb NOT NULL DEFAULT '[]',
  fallback_url text
);

CREATE TABLE affiliates (
  affiliate_id text PRIMARY KEY,
  name text NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'blocked'))
);

-- An affiliate is one global account, member of many advertisers.
CREATE TABLE affiliate_memberships (
  affiliate_id text NOT NULL REFERENCES affiliates ON DELETE CASCADE,
  advertiser_id text NOT NULL REFERENCES advertisers ON DELETE CASCADE,
  PRIMARY KEY (affiliate_id, advertiser_id)
);

CREATE TABLE offers (
  offer_id text PRIMARY KEY,
  advertiser_id text NOT NULL REFERENCES advertisers,
  name text NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'paused', 'archived')),
  starts_at timestamptz,
  ends_at timestamptz,
  model text NOT NULL CHECK (model IN ('cpa', 'cpl', 'cps', 'revshare')),
  currency text NOT NULL,
  prices jsonb NOT NULL,
  hold_days integer NOT NULL CHECK (hold_days BETWEEN 0 AND 365),
  landings jsonb NOT NULL,
  event_map jsonb NOT NULL,
  custom_events jsonb NOT NULL,
  status_map jsonb NOT NULL,
  postback jsonb NOT NULL,
  rule jsonb,
  block jsonb,
  country_fallbacks jsonb,
  access text CHECK (access IN ('public', 'on_approval', 'private')),
  affiliates jsonb,
  caps jsonb,
  cap_fallbacks jsonb,
  fraud jsonb,
  redirect text,
  referrer_policy text,
  unique_ttl_hours integer NOT NULL CHECK (unique_ttl_hours BETWEEN 1 AND 8760),
  click_lifetime_days integer NOT NULL CHECK (click_lifetime_days BETWEEN 0 AND 3650),
  fallback_url text
);

CREATE TABLE campaigns (
  campaign_id text PRIMARY KEY,
  advertiser_id text NOT NULL REFERENCES advertisers,
  name text NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'paused')),
  affiliate_id text REFERENCES affiliates,
  flows jsonb NOT NULL,
  rotation text CHECK (rotation IN ('weight', 'position')),
  bind jsonb,
  optimize jsonb,
  unique_ttl_hours integer NOT NULL CHECK (unique_ttl_hours BETWEEN 1 AND 8760),
  fallback_url text
);

CREATE TABLE links (
  code text PRIMARY KEY,
  campaign_id text REFERENCES campaigns,
  flow_id text,
  offer_id text REFERENCES offers,
  affiliate_id text REFERENCES affiliates,
  trap boolean
);

CREATE TABLE postback_endpoints (
  endpoint_id text PRIMARY KEY,
  advertiser_id text REFERENCES advertisers,
  name text NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'paused')),
  scope jsonb NOT NULL,
  triggers jsonb NOT NULL,
  rule jsonb,
  method text NOT NULL CHECK (method IN ('GET', 'POST')),
  url text NOT NULL,
  body text,
  content_type text,
  secret text,
  timeout_ms integer NOT NULL,
  max_concurrency integer NOT NULL,
  max_attempts integer NOT NULL,
  max_per_minute integer,
  expires_hours integer NOT NULL,
  allow_private_address boolean NOT NULL
);

-- What belongs to the installation as a whole: one row at most.
CREATE TABLE settings (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  -- Where requests go that have no other target; NULL: a plain 404 page.
  fallback_url text,
  -- What rules name with @, by name; NULL: there never were any, and a text of a rule may begin with @.
  lists jsonb,
  -- How clicks and conversions are scored; NULL: only those of offers with settings of their own are.
  fraud jsonb,
  -- Signs what edges tell each other by way of a visitor's browser; the same for all of them.
  redirect_key text NOT NULL DEFAULT replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')
);
INSERT INTO settings DEFAULT VALUES;

-- Every version of the configuration, whole: the edge reads the newest, people read who changed what.
CREATE TABLE config_versions (
  version integer PRIMARY KEY,
  snapshot jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  diff jsonb NOT NULL,
  -- The earlier version that this one put in force again.
  restored_version integer REFERENCES config_versions
);

-- Only a SHA-256 of the key is kept: the key itself is shown once.
CREATE TABLE api_keys (
  api_key_id uuid PRIMARY KEY,
  name text NOT NULL,
  key_sha256 bytea NOT NULL UNIQUE,
  role text NOT NULL CHECK (role IN ('owner', 'advertiser', 'affiliate')),
  advertiser_id text REFERENCES advertisers,
  affiliate_id text REFERENCES affiliates,
  scopes text[] NOT NULL CHECK (scopes <@ '{read,write}' AND cardinality(scopes) > 0),
  created_at timestamptz NOT NULL,
  revoked_at timestamptz,
  CHECK (role <> 'owner' OR (advertiser_id IS NULL AND affiliate_id IS NULL)),
  CHECK (role <> 'advertiser' OR (advertiser_id IS NOT NULL AND affiliate_id IS NULL)),
  -- With an advertiser: only what the affiliate has with this one.
  CHECK (role <> 'affiliate' OR affiliate_id IS NOT NULL)
);
