-- Weights that were learned from conversions. The edges draw by the newest version, as soon as they hear of it; earlier ones are
-- kept for a while, so that a click whose trace names one can be decided again.

CREATE TABLE learned_weights (
  version integer PRIMARY KEY CHECK (version > 0),
  -- Place → arm → weight, of the places that are switched on.
  weights jsonb NOT NULL,
  -- What is known of every place and arm, for people. That of the newest version is brought up to date with each run; the
  -- weights of a version never change.
  state jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  -- The last run that came to these weights.
  learned_at timestamptz NOT NULL
);

-- No policy and no grant: it names campaigns of every advertiser.
ALTER TABLE learned_weights ENABLE ROW LEVEL SECURITY;
