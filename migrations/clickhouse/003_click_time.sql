-- Reports by the time of the click read everything since the first click of their range: blocks of rows whose clicks are all
-- outside of it are passed over. Rows from before have it once they are merged.

ALTER TABLE events ADD INDEX IF NOT EXISTS click_at_range click_at TYPE minmax GRANULARITY 1;
ALTER TABLE conversions ADD INDEX IF NOT EXISTS click_at_range click_at TYPE minmax GRANULARITY 1;
