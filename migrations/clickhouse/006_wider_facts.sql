-- What reports group by and count besides: uniqueness over all campaigns and offers, the host that the click came from, and in
-- every table the connection and visitor of the click.
--
-- Rows from before: no click of theirs is known to be unique anywhere (false, so `is_unique_global` counts from this version on);
-- clicks have the host of their referrer, events and conversions none; `connection` of events is what the page said, and empty
-- in conversions, as is `visitor_code`.

ALTER TABLE clicks
  ADD COLUMN IF NOT EXISTS is_unique_global Bool DEFAULT false AFTER is_unique_offer,
  ADD COLUMN IF NOT EXISTS referrer_host LowCardinality(String) DEFAULT lower(domain(referrer)) AFTER referrer;

ALTER TABLE events
  ADD COLUMN IF NOT EXISTS referrer_host LowCardinality(String) AFTER bot,
  -- `connection` is the click's from here on, as every dimension; this is what the page said.
  ADD COLUMN IF NOT EXISTS page_connection LowCardinality(String) AFTER connection;

ALTER TABLE conversions
  ADD COLUMN IF NOT EXISTS referrer_host LowCardinality(String) AFTER bot,
  ADD COLUMN IF NOT EXISTS connection LowCardinality(String) AFTER language,
  ADD COLUMN IF NOT EXISTS visitor_code String CODEC(ZSTD(1)) AFTER fraud_reason;
