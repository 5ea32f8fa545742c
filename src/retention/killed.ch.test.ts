import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { createRandom } from '#platform/random'
import { withDatabase, withTempDir } from '#test-kit'

import { listRetirements } from './index.ts'

const PROGRAM = fileURLToPath(new URL('./test-retirer.ts', import.meta.url))
const RANDOM_KILLS = 3
/** A run has some thirty steps; a random kill comes after a few of them and up to so many milliseconds into the next. */
const STEPS_MAX = 5
const DELAY_MS_MAX = 10

type Kill = { readonly isAt: (steps: readonly string[]) => boolean; readonly delayMs: number }
type Line = { readonly found?: readonly unknown[]; readonly step?: string }

test('a process that is killed while it retires days changes no report by what is kept', async (t) => {
  const seed = process.pid
  t.diagnostic(`seed ${seed}`)
  const random = createRandom(seed)
  const children: ChildProcess[] = []
  t.after(() => children.forEach((child) => child.kill('SIGKILL')))
  const [facts, archive] = [join(withTempDir(t), 'clickhouse'), withTempDir(t)]
  const { pool, url } = await withDatabase(t)

  /** Runs the program. @param kill when; undefined: it runs to its end. @returns what it found, and which steps it took */
  const run = async (mode: 'fill' | 'retire', kill?: Kill) => {
    const child = spawn(process.execPath, [PROGRAM, facts, url, archive, mode], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    const exit = once(child, 'exit') as Promise<[number | null, string | null]>
    const found: (readonly unknown[])[] = []
    const steps: string[] = []
    let isKilled = false
    for await (const text of createInterface({ input: child.stdout })) {
      const line = JSON.parse(text) as Line
      if (line.found !== undefined) found.push(line.found)
      if (line.step === undefined) continue
      steps.push(line.step)
      if (isKilled || kill?.isAt(steps) !== true) continue
      isKilled = true
      if (kill.delayMs === 0) child.kill('SIGKILL')
      else setTimeout(() => child.kill('SIGKILL'), kill.delayMs)
    }
    const [code, signal] = await exit
    return { found, steps, code, signal }
  }

  const [before] = (await run('fill')).found
  const delayMs = (): number => Math.floor(random() * DELAY_MS_MAX)
  const afterSome = (count: number): Kill => ({ isAt: (steps) => steps.length === count, delayMs: delayMs() })
  const kills: readonly Kill[] = [
    ...Array.from({ length: RANDOM_KILLS }, () => afterSome(1 + Math.floor(random() * STEPS_MAX))),
    // Before and after reports change over from raw rows to what is kept of them, and while raw rows go.
    { isAt: (steps) => steps.at(-1) === 'retire', delayMs: 0 },
    { isAt: (steps) => steps.at(-1) === 'drop', delayMs: 0 },
  ]
  const reached: (string | undefined)[] = []
  for (const kill of kills) {
    const { found, steps, signal } = await run('retire', kill)
    for (const answers of found) assert.deepEqual(answers, before)
    assert.equal(signal, 'SIGKILL')
    reached.push(steps.at(-1))
  }
  t.diagnostic(`killed in ${reached.join(', ')}`)
  // A kill between two plans of one table and day leaves the second to the run after the next one.
  for (let round = 0; round < 2; round++) {
    const { found, code } = await run('retire')
    assert.equal(code, 0)
    assert.deepEqual(found, [before, before])
  }
  const retirements = await listRetirements(pool)
  assert.equal(retirements.length, 6)
  assert.ok(retirements.every(({ state }) => state === 'dropped'))
})
