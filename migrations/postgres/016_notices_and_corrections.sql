-- Operators are told of notices by endpoints that listen to them, and correct what a conversion is worth. A notice is queued once, and
-- those of before are not sent.
ALTER TABLE notices ADD COLUMN queued_at timestamptz;
UPDATE notices SET queued_at = at;
CREATE INDEX notices_to_queue ON notices (notice_id) WHERE queued_at IS NULL;

-- The period whose end of the quota is on record as a notice: there is one for each period.
ALTER TABLE endpoint_quotas ADD COLUMN noticed_start timestamptz;

-- What a conversion is worth, corrected by a person: what a partner repeats does not undo it. NOT VALID: the rows of before satisfy the
-- narrower list that it takes the place of, and need not be read.
ALTER TABLE conversions ADD COLUMN is_corrected boolean NOT NULL DEFAULT false;
ALTER TABLE conversion_revisions ADD COLUMN reason text NOT NULL DEFAULT '';
ALTER TABLE conversion_revisions DROP CONSTRAINT conversion_revisions_cause_check;
ALTER TABLE conversion_revisions ADD CONSTRAINT conversion_revisions_cause_check
  CHECK (cause IN ('event', 'postback', 'hold_released', 'api', 'correction')) NOT VALID;
