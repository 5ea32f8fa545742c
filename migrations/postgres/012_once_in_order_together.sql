-- What an endpoint may ask beyond "at least once, in any order, one by one".

ALTER TABLE postback_endpoints
  ADD COLUMN at_most_once boolean,
  ADD COLUMN ordered boolean;

-- Whose turn it is, for endpoints with `ordered` alone: a row for every message of theirs that its worker has met and that has not
-- ended. The first of a click is sent; the others stay in delivery_ready with run_at = 'infinity', where no reading meets them,
-- until the one before has ended. Written by the owner of the endpoint only, so that taking turns needs no locks.
CREATE TABLE delivery_order (
  -- In the order of delivery_id, as far as they were there together.
  place bigint GENERATED ALWAYS AS IDENTITY,
  delivery_id bigint PRIMARY KEY,
  endpoint_id text NOT NULL,
  click_id uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE UNIQUE INDEX delivery_order_by_click ON delivery_order (endpoint_id, click_id, place);
ALTER TABLE delivery_order ENABLE ROW LEVEL SECURITY;

-- Attempts that were one request: its `webhook-id`, and how many messages it had. NULL: a request of its own.
ALTER TABLE delivery_attempts
  ADD COLUMN batch_id uuid,
  ADD COLUMN batch_size integer;
