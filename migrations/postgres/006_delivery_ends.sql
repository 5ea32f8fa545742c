-- How deliveries ended, for everyone who reads it: whoever asks this view need not know where ends are kept.
CREATE VIEW delivery_ends AS
  SELECT delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at FROM delivery_finals;
