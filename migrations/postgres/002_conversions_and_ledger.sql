-- Conversions, money and the pipeline's place in the log: what must be exact lives in one database and one transaction.

-- How far a consumer is. `pending_to`: a batch [position, pending_to) was started and may be in the facts already; after
-- a crash exactly this range is sent again. `epoch` grows with every take-over; a commit with an older one is refused.
CREATE TABLE consumer_positions (
  consumer text NOT NULL,
  log_partition text NOT NULL,
  position bigint NOT NULL CHECK (position >= 0),
  pending_to bigint CHECK (pending_to > position),
  epoch bigint NOT NULL,
  PRIMARY KEY (consumer, log_partition)
);

-- What became of every record of a partition, counted in the transaction that moves the position: the sum of all columns
-- is the position. `waypost reconcile` compares them with the log and with the facts.
CREATE TABLE pipeline_counters (
  log_partition text PRIMARY KEY,
  clicks bigint NOT NULL DEFAULT 0,
  duplicate_clicks bigint NOT NULL DEFAULT 0,
  events bigint NOT NULL DEFAULT 0,
  duplicate_events bigint NOT NULL DEFAULT 0,
  postbacks bigint NOT NULL DEFAULT 0,
  -- Readable bytes that are no record of ours.
  undecodable bigint NOT NULL DEFAULT 0,
  -- Offsets that the log could not read back or had dropped already.
  damaged bigint NOT NULL DEFAULT 0
);

CREATE TABLE conversions (
  conversion_id uuid PRIMARY KEY,
  advertiser_id text NOT NULL,
  click_id uuid NOT NULL,
  type text NOT NULL CHECK (type IN ('lead', 'sale')),
  goal text NOT NULL,
  -- The goal where the offer tells it apart from others of its type (a custom event, a price of its own), else empty: reg and
  -- lead are the same lead, a `kyc` that the offer declares is another one.
  goal_key text NOT NULL DEFAULT '',
  txid text NOT NULL DEFAULT '-',
  affiliate_id text,
  campaign_id text,
  offer_id text NOT NULL,
  status text NOT NULL CHECK (status IN ('pending', 'approved', 'rejected')),
  raw_status text,
  hold_until timestamptz,
  is_hold_released boolean NOT NULL DEFAULT false,
  payout_micros bigint NOT NULL,
  revenue_micros bigint NOT NULL,
  sale_amount_micros bigint NOT NULL DEFAULT 0,
  currency text NOT NULL,
  revision integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  -- The click's record as it was logged: what postbacks and support need, without asking the facts.
  click jsonb NOT NULL,
  -- The address of the click, of IPv6 its /64: a phone changes its address inside of that.
  ip_network text,
  -- The fraud verdict on it when it was made, with all reasons; NULL: there are none.
  fraud text,
  -- Identity of a conversion: an upsell is another txid.
  UNIQUE (click_id, type, goal_key, txid)
);
-- How many clicks of an address and a device converted, for the score of the next one. Thousands may share an address: with the click
-- in the index their rows need not be read.
CREATE INDEX conversions_of_address ON conversions (ip_network, created_at) INCLUDE (click_id);
CREATE INDEX conversions_of_device ON conversions ((click->>'visitor_code'), created_at);
CREATE INDEX conversions_by_time ON conversions (advertiser_id, created_at DESC, conversion_id DESC);
-- The owner's list, over all advertisers.
CREATE INDEX conversions_newest ON conversions (created_at DESC, conversion_id DESC);
CREATE INDEX conversions_on_hold ON conversions (hold_until) WHERE status = 'approved' AND NOT is_hold_released;

-- Every state a conversion ever had, append only. `seq` is the order in which facts take them over: writers insert
-- under one advisory lock that they hold until they commit (src/conversions/record-revisions.ts), so a lower number never
-- appears after a higher one and a reader may keep the last number as its place. Ordering by transaction id instead was
-- rejected: ids start over when a dump is loaded into a new server.
CREATE TABLE conversion_revisions (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  conversion_id uuid NOT NULL REFERENCES conversions,
  advertiser_id text NOT NULL,
  revision integer NOT NULL,
  status text NOT NULL,
  raw_status text,
  payout_micros bigint NOT NULL,
  revenue_micros bigint NOT NULL,
  sale_amount_micros bigint NOT NULL,
  is_hold_released boolean NOT NULL,
  cause text NOT NULL CHECK (cause IN ('event', 'postback', 'hold_released', 'api')),
  -- Who changed it, for causes of the API; else empty.
  revised_by text NOT NULL DEFAULT '',
  revised_at timestamptz NOT NULL,
  UNIQUE (conversion_id, revision)
);

CREATE TABLE ledger_accounts (
  account_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  advertiser_id text NOT NULL,
  -- Whose account: the advertiser's own, an affiliate's with this advertiser, or the platform's.
  owner text NOT NULL CHECK (owner IN ('advertiser', 'affiliate', 'platform')),
  affiliate_id text NOT NULL DEFAULT '',
  kind text NOT NULL CHECK (
    (owner = 'advertiser' AND kind IN ('hold', 'spend')) OR
    (owner = 'affiliate' AND kind IN ('hold', 'approved', 'paid')) OR
    (owner = 'platform' AND kind IN ('revenue', 'payout_cost'))
  ),
  currency text NOT NULL,
  UNIQUE (advertiser_id, owner, affiliate_id, kind, currency)
);

CREATE TABLE ledger_transactions (
  transaction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- What it was booked for; makes a repeat impossible, e.g. 'conversion:<id>:<revision>'.
  booking_key text NOT NULL UNIQUE,
  advertiser_id text NOT NULL,
  conversion_id uuid REFERENCES conversions,
  description text NOT NULL,
  booked_at timestamptz NOT NULL
);
CREATE INDEX ledger_transactions_of_conversion ON ledger_transactions (conversion_id);

CREATE TABLE ledger_entries (
  transaction_id bigint NOT NULL REFERENCES ledger_transactions,
  account_id bigint NOT NULL REFERENCES ledger_accounts,
  advertiser_id text NOT NULL,
  -- Debit is positive, credit negative.
  amount_micros bigint NOT NULL CHECK (amount_micros <> 0),
  currency text NOT NULL,
  PRIMARY KEY (transaction_id, account_id)
);
-- A balance is the sum of its entries, read from the index alone.
CREATE INDEX ledger_entries_of_account ON ledger_entries (account_id) INCLUDE (amount_micros);

-- Invariant 7: all entries of a transaction come in one statement and sum to zero per currency. A check per statement
-- costs one aggregate over the new rows; later additions to a transaction fail because they alone cannot balance it to
-- anything but zero, and nothing may be changed or removed.
CREATE FUNCTION ledger_entries_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrong record;
BEGIN
  SELECT transaction_id, currency, sum(amount_micros) AS difference INTO wrong
    FROM new_entries GROUP BY transaction_id, currency HAVING sum(amount_micros) <> 0 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'ledger transaction % does not balance: % micros of %', wrong.transaction_id, wrong.difference, wrong.currency
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
  REFERENCING NEW TABLE AS new_entries FOR EACH STATEMENT EXECUTE FUNCTION ledger_entries_balance();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_transactions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER conversion_revisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON conversion_revisions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What partners sent us, with the verdict: kept for ever, so that a refused one can be replayed after the mistake is mended.
CREATE TABLE inbound_postbacks (
  postback_id uuid PRIMARY KEY,
  received_at timestamptz NOT NULL,
  via text NOT NULL,
  advertiser_id text,
  offer_id text,
  click_id uuid,
  raw_click_id text,
  raw_status text,
  raw_goal text,
  txid text,
  amount_micros bigint,
  sale_amount_micros bigint,
  currency text,
  ip inet,
  raw text NOT NULL,
  -- The record as it was logged: what a replay judges again.
  record jsonb NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('converted', 'updated', 'refused')),
  reason text,
  conversion_id uuid REFERENCES conversions
);
CREATE INDEX inbound_postbacks_by_time ON inbound_postbacks (received_at DESC, postback_id DESC);
CREATE INDEX inbound_postbacks_by_click ON inbound_postbacks (click_id);
