import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { createLogLines } from '#platform/log-lines'
import { isStillRunning, markOf } from '#platform/processes'
import { withTempDir } from '#test-kit'

import { startEdgeProcess, type EdgeProcess } from './edge-process.ts'

const logLines = createLogLines('test', 'silent')

/** A process that behaves towards its parent as the edge does; each start adds a line with the port it was given. */
const EDGE = `
  import { appendFileSync } from 'node:fs'
  import { env } from 'node:process'
  const [starts, mood] = process.argv.slice(2)
  appendFileSync(starts, env.WAYPOST_EDGE_PORT + '\\n')
  if (mood === 'refuses') process.send({ kind: 'failed', message: 'Port 1 is in use.' }, () => process.exit(0))
  else if (mood === 'dies') process.exit(3)
  else {
    process.on('message', ({ kind }) => kind === 'stop' && process.exit(0))
    process.on('disconnect', () => process.exit(0))
    process.send({ kind: 'listening', port: Number(env.WAYPOST_EDGE_PORT) || 4711 })
  }`

function makeProgram(t: TestContext, mood: string): { program: [string, ...string[]]; starts: string } {
  const directory = withTempDir(t)
  const starts = join(directory, 'starts')
  writeFileSync(starts, '')
  writeFileSync(join(directory, 'edge.mjs'), EDGE)
  return { program: [join(directory, 'edge.mjs'), starts, mood], starts }
}

async function startEdge(t: TestContext): Promise<{ edge: EdgeProcess; starts: string }> {
  const { program, starts } = makeProgram(t, 'well')
  const edge = await startEdgeProcess({ program, environment: { WAYPOST_EDGE_PORT: '0' }, logLines })
  t.after(() => edge.stop())
  return { edge, starts }
}

test('tells the port of the edge, and ends it when asked', async (t) => {
  const { edge } = await startEdge(t)
  assert.equal(edge.port, 4711)
  const mark = markOf(edge.pid)!
  await edge.stop()
  assert.equal(isStillRunning(mark), false)
})

test('starts a killed edge again, on the same port', async (t) => {
  const { edge, starts } = await startEdge(t)
  const watcher = watch(starts)
  t.after(() => watcher.close())
  process.kill(edge.pid, 'SIGKILL')
  await once(watcher, 'change')
  assert.deepEqual(readFileSync(starts, 'utf8'), '0\n4711\n')
})

test('does not start an edge again that was asked to end', async (t) => {
  const { edge, starts } = await startEdge(t)
  await Promise.all([edge.stop(), edge.stop()])
  assert.equal(edge.pid, 0)
  assert.equal(readFileSync(starts, 'utf8'), '0\n')
})

test('gives the words of an edge that cannot start', async (t) => {
  const { program } = makeProgram(t, 'refuses')
  await assert.rejects(startEdgeProcess({ program, environment: { WAYPOST_EDGE_PORT: '1' }, logLines }), {
    message: 'Port 1 is in use.',
  })
})

test('says so when the edge ends while it starts', async (t) => {
  const { program } = makeProgram(t, 'dies')
  const start = startEdgeProcess({ program, environment: { WAYPOST_EDGE_PORT: '1' }, logLines })
  await assert.rejects(start, { message: 'The edge ended while it started (3).' })
})
