-- Endpoints that are left alone because they failed, as their worker has it in memory: for people, who ask why nothing is sent.
CREATE TABLE endpoint_breakers (
  endpoint_id text PRIMARY KEY,
  worker_id uuid NOT NULL,
  opened_at timestamptz NOT NULL,
  -- When one delivery asks whether the receiver is back.
  probe_at timestamptz NOT NULL
) WITH (fillfactor = 50);
ALTER TABLE endpoint_breakers ENABLE ROW LEVEL SECURITY;
