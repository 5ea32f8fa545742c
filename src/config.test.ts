import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { test } from 'node:test'

import { readConfig, type Environment } from '#config'

test('an empty environment gives the documented defaults', () => {
  const config = readConfig({})
  assert.equal(config.dataDir, resolve('data'))
  assert.deepEqual([config.edgeHost, config.edgePort], ['0.0.0.0', 8080])
  assert.deepEqual([config.apiHost, config.apiPort], ['127.0.0.1', 8081])
  assert.deepEqual([config.apiKey, config.databaseUrl, config.clickhouseUrl], [undefined, undefined, undefined])
  assert.deepEqual(config.sub2AllowedKeys, ['geo', 'dev', 'src', 'adset', 'lang', 'tier', 'abtest', 'campaign', 'creative', 'placement']) // prettier-ignore
  assert.deepEqual(config.trustedProxies, ['127.0.0.1', '::1'])
  assert.equal(config.logLevel, 'info')
  assert.deepEqual(config.logRetention, { minAgeMs: 86_400_000, maxAgeMs: 2_592_000_000, maxBytes: 50_000_000_000 })
  assert.equal(config.clickIndexDays, 90)
  assert.deepEqual([config.metricsHost, config.metricsPort], ['127.0.0.1', 8082])
  assert.equal(config.postbackHostConcurrency, 64)
  assert.deepEqual([...config.faultGuardsOff], [])
  assert.deepEqual(config.warnings, [])
})

test('trusts no proxy at all where it is told so', () => {
  assert.deepEqual(readConfig({ WAYPOST_TRUSTED_PROXIES: 'none' }).trustedProxies, [])
})

test('switches guards off for a fault run and warns loudly', () => {
  const config = readConfig({ WAYPOST_FAULT_GUARDS_OFF: 'token,flush' })
  assert.deepEqual([...config.faultGuardsOff], ['token', 'flush'])
  assert.match(config.warnings[0]!, /WILL be lost or counted twice/)
})

test('a variable that is set and empty counts as not set', () => {
  assert.equal(readConfig({ WAYPOST_EDGE_PORT: '', WAYPOST_API_KEY: ' ' }).edgePort, 8080)
})

test('takes good values', () => {
  const config = readConfig({
    WAYPOST_API_KEY: 'k',
    DATABASE_URL: 'postgresql://me:pw@db.example:5432/waypost',
    CLICKHOUSE_URL: 'https://me:pw@ch.example:8443/waypost',
    SUB2_ALLOWED_KEYS: ' geo, my_key ',
    WAYPOST_TRUSTED_PROXIES: '10.0.0.0/8, 2001:db8::/32,192.0.2.1',
    WAYPOST_EDGE_PORT: '0',
    WAYPOST_API_PORT: '0',
    WAYPOST_EDGE_HOST: '::',
  })
  assert.equal(config.apiKey, 'k')
  assert.deepEqual(config.sub2AllowedKeys, ['geo', 'my_key'])
  assert.deepEqual(config.trustedProxies, ['10.0.0.0/8', '2001:db8::/32', '192.0.2.1'])
  assert.equal(config.edgeHost, '::')
})

const REFUSED: readonly (readonly [Environment, RegExp])[] = [
  [{ WAYPOST_EDGE_PORT: 'http' }, /WAYPOST_EDGE_PORT=http: must be a whole number from 0 to 65535\.$/],
  [{ WAYPOST_EDGE_PORT: '65536' }, /WAYPOST_EDGE_PORT=65536: must be/],
  [{ WAYPOST_EDGE_PORT: '-1' }, /WAYPOST_EDGE_PORT=-1: must be/],
  [{ WAYPOST_METRICS_PORT: '70000' }, /WAYPOST_METRICS_PORT=70000: must be/],
  [{ WAYPOST_METRICS_HOST: 'my host' }, /WAYPOST_METRICS_HOST=my host: must be an IP address or localhost\.$/],
  [
    { WAYPOST_POSTBACK_HOST_CONCURRENCY: '0' },
    /WAYPOST_POSTBACK_HOST_CONCURRENCY=0: must be a whole number from 1 to 512\.$/,
  ],
  [{ WAYPOST_POSTBACK_HOST_CONCURRENCY: '513' }, /WAYPOST_POSTBACK_HOST_CONCURRENCY=513: must be/],
  [{ WAYPOST_API_PORT: '80.5' }, /WAYPOST_API_PORT=80.5: must be/],
  [{ WAYPOST_API_PORT: '8080' }, /WAYPOST_API_PORT=8080: must differ from WAYPOST_EDGE_PORT\.$/],
  [{ WAYPOST_EDGE_HOST: 'my host' }, /WAYPOST_EDGE_HOST=my host: must be an IP address or localhost\.$/],
  [{ WAYPOST_API_HOST: '300.1.1.1' }, /WAYPOST_API_HOST=300.1.1.1: must be/],
  [{ WAYPOST_API_KEY: 'two words' }, /WAYPOST_API_KEY=…: must be 1 to 200 visible ASCII characters without spaces\.$/],
  [{ WAYPOST_API_KEY: 'k'.repeat(201) }, /WAYPOST_API_KEY=…/],
  [
    { DATABASE_URL: 'mysql://me:pw@db/x' },
    /DATABASE_URL=…: must be a URL that starts with postgres:\/\/ or postgresql:\/\/\.$/,
  ],
  [{ DATABASE_URL: 'db.example' }, /DATABASE_URL=…/],
  [{ CLICKHOUSE_URL: 'tcp://ch:9000' }, /CLICKHOUSE_URL=…: must be a URL that starts with http:\/\/ or https:\/\/\.$/],
  [{ SUB2_ALLOWED_KEYS: 'geo,a b' }, /SUB2_ALLOWED_KEYS=a b: a key has 1 to 50/],
  [{ SUB2_ALLOWED_KEYS: 'k'.repeat(51) }, /SUB2_ALLOWED_KEYS=k+: a key/],
  [{ WAYPOST_TRUSTED_PROXIES: '10.0.0.0/33' }, /WAYPOST_TRUSTED_PROXIES=10.0.0.0\/33: must be IP addresses or CIDR/],
  [{ WAYPOST_TRUSTED_PROXIES: 'cloudflare' }, /WAYPOST_TRUSTED_PROXIES=cloudflare/],
  [{ WAYPOST_FAULT_GUARDS_OFF: 'all' }, /WAYPOST_FAULT_GUARDS_OFF=all: must be of flush, token/],
  [{ WAYPOST_LOG_LEVEL: 'loud' }, /WAYPOST_LOG_LEVEL=loud: must be one of trace, debug/],
  [{ WAYPOST_LOG_MIN_HOURS: '0' }, /WAYPOST_LOG_MIN_HOURS=0: must be a whole number from 1/],
  [{ WAYPOST_LOG_MIN_HOURS: '49', WAYPOST_LOG_MAX_DAYS: '2' }, /WAYPOST_LOG_MIN_HOURS=49: must not be longer/],
  [{ WAYPOST_LOG_MAX_DAYS: '3651' }, /WAYPOST_LOG_MAX_DAYS=3651: must be/],
  [{ WAYPOST_LOG_MAX_GB: '0' }, /WAYPOST_LOG_MAX_GB=0: must be/],
  [{ WAYPOST_CLICK_INDEX_DAYS: '0' }, /WAYPOST_CLICK_INDEX_DAYS=0: must be/],
  [{ WAYPOST_DELIVERY_DAYS: '29' }, /WAYPOST_DELIVERY_DAYS=29: must be a whole number from 30/],
  [{ WAYPOST_ATTEMPT_DAYS: '31' }, /WAYPOST_ATTEMPT_DAYS=31: must not be longer/],
  [{ WAYPOST_ATTEMPT_ARCHIVE_DAYS: '0' }, /WAYPOST_ATTEMPT_ARCHIVE_DAYS=0: must be/],
]

for (const [environment, message] of REFUSED) {
  test(`refuses ${JSON.stringify(environment).slice(0, 80)} with one line`, () => {
    assert.throws(
      () => readConfig(environment),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'environment_invalid')
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /\n|pw/)
        return true
      },
    )
  })
}

test('warns of a variable that looks like ours and is not', () => {
  const ofTests = { WAYPOST_TEST_POSTGRES_URL: 'x', WAYPOST_TEST_FACTS_TEMPLATE: 'x' }
  assert.deepEqual(readConfig({ WAYPOST_DATADIR: '/x', ...ofTests }).warnings, [
    'WAYPOST_DATADIR is set and means nothing to Waypost; see docs/operations.md.',
  ])
})
