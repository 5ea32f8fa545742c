-- What stays of days whose raw rows were retired: for reports over old days.
--
-- The columns have the names of the raw tables, so that the same conditions hold over both. `sign` says for how many raw rows a row
-- stands, negative where it takes back: clicks and events are added up by the hour over all columns that they keep, conversions keep
-- their times, because their delays are measured. `retirement_id` is that of PostgreSQL's fact_retirements: rows whose retirement
-- is not complete are not counted.

CREATE TABLE IF NOT EXISTS kept_clicks (
  retirement_id UInt64 CODEC(Delta, ZSTD(1)),
  at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  sign Int64 CODEC(T64, ZSTD(1)),
  class LowCardinality(String),
  outcome LowCardinality(String),
  refusal LowCardinality(String),
  advertiser_id LowCardinality(String),
  campaign_id LowCardinality(String),
  flow_id LowCardinality(String),
  landing_id LowCardinality(String),
  offer_id LowCardinality(String),
  affiliate_id LowCardinality(String),
  source_id LowCardinality(String),
  country LowCardinality(String),
  connection LowCardinality(String),
  device_type LowCardinality(String),
  os LowCardinality(String),
  browser LowCardinality(String),
  language LowCardinality(String),
  bot LowCardinality(String),
  fraud_reason LowCardinality(String),
  is_unique_campaign Bool,
  is_unique_offer Bool,
  is_unique_global Bool,
  currency LowCardinality(String),
  cost_micros Int64 CODEC(T64, ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (advertiser_id, campaign_id, at, retirement_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS kept_events (
  retirement_id UInt64 CODEC(Delta, ZSTD(1)),
  at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  click_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  sign Int64 CODEC(T64, ZSTD(1)),
  type LowCardinality(String),
  refusal LowCardinality(String),
  advertiser_id LowCardinality(String),
  campaign_id LowCardinality(String),
  flow_id LowCardinality(String),
  landing_id LowCardinality(String),
  offer_id LowCardinality(String),
  affiliate_id LowCardinality(String),
  source_id LowCardinality(String),
  country LowCardinality(String),
  connection LowCardinality(String),
  device_type LowCardinality(String),
  os LowCardinality(String),
  browser LowCardinality(String),
  language LowCardinality(String),
  bot LowCardinality(String),
  fraud_reason LowCardinality(String),
  time_on_page_ms UInt32 CODEC(T64, ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (advertiser_id, campaign_id, at, type, retirement_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS kept_conversions (
  retirement_id UInt64 CODEC(Delta, ZSTD(1)),
  at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  click_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  sign Int64 CODEC(T64, ZSTD(1)),
  type LowCardinality(String),
  goal LowCardinality(String),
  status LowCardinality(String),
  advertiser_id LowCardinality(String),
  campaign_id LowCardinality(String),
  flow_id LowCardinality(String),
  landing_id LowCardinality(String),
  offer_id LowCardinality(String),
  affiliate_id LowCardinality(String),
  source_id LowCardinality(String),
  country LowCardinality(String),
  connection LowCardinality(String),
  device_type LowCardinality(String),
  os LowCardinality(String),
  browser LowCardinality(String),
  language LowCardinality(String),
  bot LowCardinality(String),
  fraud_reason LowCardinality(String),
  currency LowCardinality(String),
  payout_micros Int64 CODEC(T64, ZSTD(1)),
  revenue_micros Int64 CODEC(T64, ZSTD(1)),
  sale_amount_micros Int64 CODEC(T64, ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (advertiser_id, campaign_id, at, type, retirement_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
