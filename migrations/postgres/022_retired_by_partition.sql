-- How many rows of a retirement came from each partition of the log, for `waypost reconcile`. None was retired before it was counted.
ALTER TABLE fact_retirements ADD COLUMN rows_by_partition jsonb NOT NULL DEFAULT '{}';
