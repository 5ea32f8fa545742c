-- What questions about clicks would work out for each row again and again.
--
-- Nearly all of them count the same rows: reading two columns of words for it and comparing them took a fifth of their time.
-- Retention needs no more of a visitor's code than 64 bits of a hash: reading and hashing 20 million codes took 0.24 s of its 1.4.

ALTER TABLE clicks ADD COLUMN IF NOT EXISTS is_counted Bool MATERIALIZED class = 'click' AND outcome IN ('redirected', 'shown', 'fallback');

ALTER TABLE clicks ADD COLUMN IF NOT EXISTS visitor_hash UInt64 MATERIALIZED cityHash64(visitor_code) CODEC(NONE);

-- Half the time to read, for a tenth more bytes.
ALTER TABLE clicks MODIFY COLUMN cost_micros CODEC(T64, LZ4);

ALTER TABLE clicks MATERIALIZE COLUMN is_counted;
ALTER TABLE clicks MATERIALIZE COLUMN visitor_hash;
