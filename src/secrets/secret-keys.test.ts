import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { withTempDir } from '#test-kit'
import { givenSecretKeys, keptSecretKeys, openSecrets, sealSecrets, type SecretKeys } from './index.ts'

const newKey = (): string => randomBytes(32).toString('base64')
const codeOf = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return (error as { code?: string }).code
  }
}

test('what is sealed is opened as it was, is never the same twice, and shows nothing of the text', () => {
  const keys = givenSecretKeys([newKey()])
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
      const sealed = keys.seal(text)
      assert.equal(keys.open(sealed), text)
      assert.notEqual(keys.seal(text), sealed)
      assert.match(sealed, /^sealed:1:[0-9a-f]{8}:[\w-]+$/)
    }),
  )
})

test('what was written before there was a key is read as it is', () => {
  const keys = givenSecretKeys([newKey()])
  for (const text of ['', 'acme-secret-1', 'sealed:1:nonsense', 'whsec_abc']) assert.equal(keys.open(text), text)
  assert.equal(keys.open(keys.seal('sealed:1:00000000:x')), 'sealed:1:00000000:x')
})

test('a changed value is not opened: not its text, not its key id, not its tag', () => {
  const [one, other] = [newKey(), newKey()]
  const keys = givenSecretKeys([one, other])
  const sealed = keys.seal('a secret')
  const ids = keys.ids()
  const flip = (at: number): string => sealed.slice(0, at) + (sealed[at] === 'A' ? 'B' : 'A') + sealed.slice(at + 1)
  for (const at of [18, 30, sealed.length - 10])
    assert.equal(
      codeOf(() => keys.open(flip(at))),
      'secret_damaged',
    )
  assert.equal(
    codeOf(() => keys.open(sealed.replace(ids[0]!, ids[1]!))),
    'secret_damaged',
  )
})

test('the first key seals and every key opens', () => {
  const [earlier, later] = [newKey(), newKey()]
  const sealed = givenSecretKeys([earlier]).seal('a secret')
  const both = givenSecretKeys([later, earlier])
  assert.equal(both.open(sealed), 'a secret')
  assert.equal(
    codeOf(() => givenSecretKeys([earlier]).open(both.seal('a secret'))),
    'secret_key_missing',
  )
})

test('a missing key is named by its id, and neither key nor secret stands in the message', () => {
  const [lost, present] = [newKey(), newKey()]
  const sealed = givenSecretKeys([lost]).seal('a secret')
  const keys = givenSecretKeys([present])
  assert.throws(
    () => keys.open(sealed),
    (error: Error) => {
      assert.match(
        error.message,
        /Put the key back from a backup\. It is the key [0-9a-f]{8}; WAYPOST_SECRET_KEY has [0-9a-f]{8}\.$/,
      )
      for (const secret of [lost, present, 'a secret', sealed]) assert.ok(!error.message.includes(secret))
      return true
    },
  )
})

test('a key file is made once, for its owner only, and read ever after', (t) => {
  const file = join(withTempDir(t), 'secret-keys.json')
  const sealed = keptSecretKeys(file).seal('a secret')
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.equal(keptSecretKeys(file).open(sealed), 'a secret')
})

test('threads that make the key file at the same time get the same key', async (t) => {
  const file = join(withTempDir(t), 'secret-keys.json')
  const module = new URL('key-file.ts', import.meta.url).href
  const code = `
    const { parentPort, workerData } = require('node:worker_threads')
    import(workerData.module).then(({ keptSecretKeys }) => {
      Atomics.add(workerData.ready, 0, 1)
      while (Atomics.load(workerData.ready, 0) < workerData.threads);
      parentPort.postMessage(keptSecretKeys(workerData.file).currentId())
    })`
  const threads = 4
  for (let round = 0; round < 5; round += 1) {
    const workerData = {
      ...{ module, threads, file: `${file}.${round}` },
      ready: new Int32Array(new SharedArrayBuffer(4)),
    }
    const workers = Array.from({ length: threads }, () => new Worker(code, { eval: true, workerData }))
    const ids = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as string))
    assert.equal(new Set(ids).size, 1)
    assert.equal(ids[0], keptSecretKeys(workerData.file).currentId())
  }
  assert.deepEqual(
    readdirSync(dirname(file)).filter((name) => name.endsWith('.new')),
    [],
  )
})

test('a damaged key file is told, without its content, and left alone', (t) => {
  const file = join(withTempDir(t), 'secret-keys.json')
  for (const text of ['', '{', '{"keys":[]}', '{"keys":["c2hvcnQ="]}', '["never shown"]']) {
    writeFileSync(file, text)
    assert.throws(() => keptSecretKeys(file), (error: Error) => /is damaged\..*put it back/.test(error.message) && !error.message.includes('never')) // prettier-ignore
    assert.equal(readFileSync(file, 'utf8'), text)
  }
})

test('a new key seals at once and is found by processes that run already; earlier ones open until they are forgotten', (t) => {
  const file = join(withTempDir(t), 'secret-keys.json')
  const running: SecretKeys = keptSecretKeys(file)
  const before = running.seal('old')
  const rotating = keptSecretKeys(file)
  rotating.add()
  assert.notEqual(rotating.currentId(), running.ids()[0])
  assert.equal(running.open(rotating.seal('new')), 'new')
  assert.equal(running.open(before), 'old')
  assert.equal(running.currentId(), rotating.currentId())
  rotating.forgetOld()
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.equal(
    codeOf(() => keptSecretKeys(file).open(before)),
    'secret_key_missing',
  )
})

test('secrets are found by their names at any depth, and everything else stays as it is', () => {
  const at = new Date(0)
  const plain = {
    secret: 'whsec_1',
    postback: { secrets: ['s-1', 's-2'], hmac_secrets: [], allowed_addresses: ['10.0.0.1'] },
    starts_at: at,
    rule: null,
    list: [{ previous_secret: 'whsec_0', url: 'https://a.example/?secret=1' }],
  }
  const sealed = sealSecrets(plain)
  for (const secret of ['whsec_1', 's-1', 's-2', 'whsec_0']) assert.ok(!JSON.stringify(sealed).includes(`"${secret}"`))
  assert.equal(sealed.starts_at, at)
  assert.equal(sealed.list[0]!.url, plain.list[0]!.url)
  assert.deepEqual(openSecrets(sealed), plain)
})
