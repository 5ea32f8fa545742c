-- Keys of receivers, which stand in templates by their names only: name → sealed value. NULL: none.
ALTER TABLE postback_endpoints ADD COLUMN secrets jsonb;

-- deliveries.headers holds a text from now on: the sealed JSON of what it held before. Rows of earlier versions stay as they are. A new
-- key seals what is stored anew, so that this column alone may be written again.
DROP TRIGGER deliveries_append_only ON deliveries;
DO $$
BEGIN
  EXECUTE format(
    'CREATE TRIGGER deliveries_append_only BEFORE UPDATE OF %s ON deliveries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
    (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
      WHERE attrelid = 'deliveries'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'headers')
  );
END $$;
