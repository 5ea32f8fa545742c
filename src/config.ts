/** Address of the PostgreSQL that the test runner started for the whole run; undefined when a test file runs by itself. */
export const testPostgresUrl = (): string | undefined => process.env['WAYPOST_TEST_POSTGRES_URL']
