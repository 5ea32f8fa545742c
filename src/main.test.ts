import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const waypost = (...words: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [fileURLToPath(new URL('./main.ts', import.meta.url)), ...words],
    { encoding: 'utf8', timeout: 30_000 },
  )
  return { status, stdout, stderr }
}

test('a wrong call is told in one line with where the help is, and ends with 2', () => {
  const calls: readonly (readonly [words: readonly string[], line: string])[] = [
    [['explain', '--fo', 'x'], "waypost: Unknown option '--fo'. See: waypost explain --help\n"],
    [['explain', 'x', '--ip', '-1'], "waypost: Option '--ip' argument is ambiguous. See: waypost explain --help\n"],
    [['simulate', '--since', 'once'], 'waypost: simulate takes one file, or --version. See: waypost simulate --help\n'],
    [['explian'], 'waypost: There is no command "explian". See: waypost help\n'],
  ]
  for (const [words, line] of calls) assert.deepEqual(waypost(...words), { status: 2, stdout: '', stderr: line })
})

test('a role that there is not is a wrong call too', () => {
  const { status, stderr } = waypost('serve', '--role', 'edgy')
  assert.deepEqual([status, stderr.split('\n').length], [2, 2])
})

test('the help of a command is its own', () => {
  const { status, stdout } = waypost('explain', '--help')
  assert.equal(status, 0)
  assert.match(stdout, /^Usage:\n {2}waypost explain URL .*\n {6}.*\n$/)
})
