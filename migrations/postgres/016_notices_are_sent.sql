-- Operators are told of notices by endpoints that listen to them. A notice is queued once, and those of before are not sent.
ALTER TABLE notices ADD COLUMN queued_at timestamptz;
UPDATE notices SET queued_at = at;
CREATE INDEX notices_to_queue ON notices (notice_id) WHERE queued_at IS NULL;

-- The period whose end of the quota is on record as a notice: there is one for each period.
ALTER TABLE endpoint_quotas ADD COLUMN noticed_start timestamptz;
