/** The way in for every npm command. Plain JavaScript that runs on Node 20: it installs the dependencies when they are missing
 * or out of date, finds Node 26 and hands over to it. Needs the network only while something has to be installed.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const MAIN = join(ROOT, 'src', 'main.ts')
const NODE_MAJOR = 26

/** What to run with Node 26, one after the other, for each command. */
const COMMANDS = {
  serve: (args) => [[MAIN, 'serve', ...args]],
  waypost: (args) => [[MAIN, ...args]],
  test: (args) => [['src/test-kit/run-tests.ts', ...args]],
  e2e: (args) => [['--test', ...(args.length > 0 ? args : ['test/e2e/**/*.test.ts', 'sdk/**/*.browser.test.ts'])]],
  check: () => [
    [bin('prettier'), '--check', '--log-level', 'warn', '.'],
    [bin('oxlint'), '--type-aware', '--deny-warnings'],
    [bin('typescript', 'tsc'), '--noEmit'],
    [bin('typescript', 'tsc'), '--noEmit', '-p', 'sdk/web'],
    [bin('knip')],
    ['--test', 'test/tidy/**/*.test.ts'],
  ],
  bench: (args) => [['bench/run.ts', ...args]],
  faults: (args) =>
    args[0] === 'deliveries'
      ? [['test/faults/deliveries/run.ts', ...args.slice(1)]]
      : [['test/faults/run.ts', ...args]],
  numbers: (args) => [['test/numbers/run.ts', ...args]],
  docs: () => [['scripts/write-reference.ts']],
  'build-sdk': (args) => [['sdk/web/build.ts', ...args]],
}

/** The script behind a development tool's command, so that Node 26 runs it and not whichever Node is on the PATH. */
function bin(packageName, command = packageName) {
  const folder = join(ROOT, 'node_modules', packageName)
  const declared = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).bin
  return join(folder, typeof declared === 'string' ? declared : declared[command])
}

const say = (text) => process.stderr.write(`${text}\n`)

function stopWith(text) {
  say(text)
  process.exit(1)
}

/** npm keeps in node_modules a list of what it put there; each entry of the lock file must be in it, in the same version.
 * An optional package may be missing: it is for another kind of machine.
 */
function areDependenciesInstalled() {
  const installedFile = join(ROOT, 'node_modules', '.package-lock.json')
  if (!existsSync(installedFile)) return false
  const wanted = readPackages(join(ROOT, 'package-lock.json'))
  const installed = readPackages(installedFile)
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || entry.link === true) return true
    return installed[path] === undefined ? entry.optional === true : installed[path].version === entry.version
  })
}

function readPackages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages
}

async function installDependencies() {
  say('waypost: installing the dependencies (once, about 700 MB on disk) …')
  const npm = process.env.npm_execpath
  const [command, ...args] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm']
  const started = Date.now()
  const heartbeat = setInterval(() => {
    const seconds = Math.round((Date.now() - started) / 1000)
    say(`waypost: still installing, ${seconds} s, ${countPackages()} packages on disk`)
  }, 10_000)
  // npm's own output goes to standard error, so that standard output stays that of the command.
  const code = await run(command, [...args, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], ['inherit', 2, 2])
  clearInterval(heartbeat)
  if (code !== 0) stopWith('waypost: the dependencies could not be installed; npm says why above.')
  say(`waypost: dependencies installed in ${Math.round((Date.now() - started) / 1000)} s`)
}

function countPackages() {
  const folder = join(ROOT, 'node_modules')
  return existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith('.')).length : 0
}

/** This process where it is new enough, else the one that was installed with the dependencies. */
function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR) return process.execPath
  const machine = `${process.platform}-${process.arch}`
  const installed = join(ROOT, 'node_modules', `node-${machine}`, 'bin', 'node')
  if (existsSync(installed) && spawnSync(installed, ['--version']).status === 0) return installed
  return stopWith(
    `waypost: Node ${NODE_MAJOR} or newer is needed; this is ${process.version}, and none comes with the dependencies for ${machine}. ` +
      'Install it from https://nodejs.org and try again.',
  )
}

/** Runs a program to its end, passing on the signals that ask us to stop.
 * @returns its exit code; 128 + the number of the signal that ended it
 */
function run(command, args, stdio, cwd = ROOT) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, stdio, env: process.env })
    // Ctrl-C reaches the whole group of processes; a signal that was sent to this one alone has to be passed on.
    const passOn = (signal) => child.kill(signal)
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
    for (const signal of signals) process.on(signal, passOn)
    const end = (code) => {
      for (const signal of signals) process.removeListener(signal, passOn)
      resolve(code)
    }
    child.on('error', (error) => {
      say(`waypost: ${command}: ${error.message}`)
      end(127)
    })
    child.on('exit', (code, signal) =>
      end(code ?? 128 + ({ SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }[signal] ?? 0)),
    )
  })
}

const [name, ...args] = process.argv.slice(2)
const command = COMMANDS[name]
if (command === undefined)
  stopWith(`waypost: usage: node scripts/bootstrap.mjs ${Object.keys(COMMANDS).join('|')} [arguments]`)
if (!areDependenciesInstalled()) await installDependencies()
const node = findNode()
// Node keeps what it made of each source file: a start takes 0.4 s of processor time instead of 1.3 s. Where the folder cannot be
// written, it does without.
process.env.NODE_COMPILE_CACHE ??= join(ROOT, 'node_modules', '.cache', 'node-compile')
for (const [script, ...rest] of command(args)) {
  // Waypost itself works in the directory it was called from, and its channel tells it when this process is gone, however
  // that ended: it then stops too.
  const isWaypost = script === MAIN
  // Where Node can, this process becomes Waypost instead of waiting beside it: one process fewer, and signals arrive directly.
  if (isWaypost && process.execve) process.execve(node, [node, script, ...rest], process.env)
  const stdio = isWaypost ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit'
  const code = await run(node, [script, ...rest], stdio, isWaypost ? process.cwd() : ROOT)
  if (code !== 0) process.exit(code)
}
