-- Keys of receivers, which stand in templates by their names only: name → sealed value. NULL: none.
ALTER TABLE postback_endpoints ADD COLUMN secrets jsonb;

-- deliveries.headers holds a text from now on: the sealed JSON of what it held before. Rows of earlier versions stay as they are.
