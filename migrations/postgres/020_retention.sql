-- How long raw facts are kept, and the manifest of what was retired: which rows of a day, how many, their checksum, and where their archive is.
--
-- A retirement is one table, one day (UTC) and the advertisers whose rows of it go the same way. It is about the rows that the facts had
-- when it was planned: of clicks and events those below the place of the pipeline in each partition of the log, of conversions those
-- below the place of their revisions. Such a set of rows never changes, so every step can be done again.
--
--   planned -> archived -> aggregated -> retired -> dropped -> restoring -> unretired -> restored
--
-- Reports count the raw rows up to `aggregated` and from `unretired` on, the kept ones in between. The change from one to the other is
-- the one statement that writes the state.

ALTER TABLE advertisers ADD COLUMN retention jsonb;

CREATE TABLE fact_retirements (
  retirement_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  table_name text NOT NULL CHECK (table_name IN ('clicks', 'events', 'conversions')),
  day date NOT NULL,
  advertiser_ids text[] NOT NULL,
  archive text NOT NULL CHECK (archive IN ('none', 'files', 's3')),
  -- Partition of the log -> first offset that is not part of it; of conversions {"": first seq that is not}.
  below jsonb NOT NULL,
  state text NOT NULL DEFAULT 'planned' CHECK (state IN
    ('planned', 'archived', 'aggregated', 'retired', 'dropped', 'restoring', 'unretired', 'restored')),
  rows bigint NOT NULL DEFAULT 0,
  -- Sum of the 64-bit hashes of all rows over `columns`, modulo 2^64: the same whatever their order.
  checksum numeric(20) NOT NULL DEFAULT 0,
  columns text[] NOT NULL DEFAULT '{}',
  -- Below the directory of archives or the prefix of the bucket; null without an archive.
  path text,
  bytes bigint NOT NULL DEFAULT 0,
  -- Rows that stay, less than `rows`.
  kept_rows bigint NOT NULL DEFAULT 0,
  planned_at timestamptz NOT NULL,
  retired_at timestamptz,
  restored_at timestamptz,
  -- Restored rows are left alone until this day is over.
  held_until date,
  CHECK ((archive = 'none') = (path IS NULL))
);
CREATE INDEX fact_retirements_by_day ON fact_retirements (day, table_name);
-- What moves at the moment: a handful of rows among those of years.
CREATE INDEX fact_retirements_moving ON fact_retirements (retirement_id) WHERE state NOT IN ('dropped', 'restored');
ALTER TABLE fact_retirements ENABLE ROW LEVEL SECURITY;
