-- The file of a scheduled report is a table, which has no place for its currency and those that it leaves out.

ALTER TABLE scheduled_runs ADD COLUMN currency text, ADD COLUMN other_currencies text[];

GRANT SELECT (currency, other_currencies) ON scheduled_runs TO waypost_tenant;
