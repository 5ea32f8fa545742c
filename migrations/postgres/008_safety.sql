-- Where the time of an attempt went, where an advertiser's postbacks may go, and which key its secrets are sealed with.

-- Times of the opening of a connection, only of the first request on it: NULL on a kept one.
ALTER TABLE delivery_attempts
  ADD COLUMN dns_ms integer,
  ADD COLUMN connect_ms integer,
  ADD COLUMN tls_ms integer,
  ADD COLUMN tls_version text,
  ADD COLUMN is_reused boolean,
  -- Of an answer that was no success.
  ADD COLUMN response_headers text;

ALTER TABLE advertisers ADD COLUMN postback_allow jsonb;
ALTER TABLE postback_endpoints ADD COLUMN via_proxy boolean;

-- The key whose id all sealed values of the row name; NULL: they are as they were before there was a key. Secrets in the other
-- tables of the configuration carry the id themselves, and are few enough to be read.
ALTER TABLE config_versions ADD COLUMN secret_key_id text;
