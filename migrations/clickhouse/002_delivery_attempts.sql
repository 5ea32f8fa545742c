-- Attempts of deliveries that PostgreSQL keeps no longer, one row each, with the columns that they had there; columns that are
-- not known here stand in `more` as JSON, so that a new one is never lost.
--
-- Exactly once: rows come by parts of a day that always hold the same rows, each with its deduplication token. `archive` is
-- the pass over the day that brought a row: PostgreSQL drops the day only when the count of its last pass agrees.

CREATE TABLE IF NOT EXISTS delivery_attempts (
  archive LowCardinality(String),
  delivery_id UInt64 CODEC(Delta, ZSTD(1)),
  created_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  endpoint_id LowCardinality(String),
  attempt_no UInt16,
  attempted_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
  outcome LowCardinality(String),
  http_status Nullable(UInt16),
  error LowCardinality(Nullable(String)),
  error_detail Nullable(String) CODEC(ZSTD(3)),
  first_byte_ms Nullable(UInt32),
  total_ms UInt32,
  remote_address Nullable(String) CODEC(ZSTD(1)),
  response_head_base64 String CODEC(ZSTD(3)),
  response_bytes UInt32,
  next_at Nullable(DateTime64(6, 'UTC')),
  is_fenced Bool,
  is_probe Bool,
  more String CODEC(ZSTD(3))
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(attempted_at)
ORDER BY (delivery_id, attempt_no, attempted_at)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
