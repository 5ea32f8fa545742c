/** Completes package-lock.json with the optional packages of other platforms.
 *
 * An install from a registry that lacks some of them (a mirror that holds one platform only) leaves them out of the lock, and
 * `npm ci` then refuses it: on every machine, this one included. The entries written here have no checksum, because nothing
 * was downloaded; npm skips them where os and cpu do not fit and fetches them by version where they do.
 *
 * Run after every install that changed the lock: node scripts/complete-lock.mjs
 */
import { readFileSync, writeFileSync } from 'node:fs'

const LOCK_FILE = new URL('../package-lock.json', import.meta.url)
const OPERATING_SYSTEMS = ['darwin', 'linux', 'win32', 'windows', 'freebsd', 'android', 'openharmony']
const PROCESSORS = ['arm64', 'x64', 'ia32', 'riscv64', 'ppc64', 's390x', 'arm']

const lock = JSON.parse(readFileSync(LOCK_FILE, 'utf8'))
const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {}, dev }]) =>
  Object.entries(optionalDependencies)
    .filter(([name]) => !lock.packages[`node_modules/${name}`] && !lock.packages[`${path}/node_modules/${name}`])
    .map(([name, range]) => [`node_modules/${name}`, describePackage(name, range, dev)]),
)
const { '': root, ...packages } = lock.packages
const complete = Object.entries({ ...packages, ...Object.fromEntries(missing) })
lock.packages = { '': root, ...Object.fromEntries(complete.sort(([a], [b]) => a.localeCompare(b, 'en'))) }
writeFileSync(LOCK_FILE, `${JSON.stringify(lock, null, 2)}\n`)
process.stdout.write(`${missing.length} packages of other platforms added\n`)

/** Platform packages carry their platform in their names: @chdb/lib-linux-arm64-gnu. */
function describePackage(name, range, dev) {
  const tail = name.split('/').at(-1)
  const os = OPERATING_SYSTEMS.find((candidate) => tail.includes(candidate))
  const cpu = PROCESSORS.find((candidate) => new RegExp(`[-_]${candidate}`).test(tail))
  if (os === undefined || cpu === undefined) throw new Error(`${name}: its name says no platform; add it by hand`)
  const libc =
    os !== 'linux' ? undefined : tail.includes('musl') ? ['musl'] : tail.includes('gnu') ? ['glibc'] : undefined
  return {
    version: range.replace(/^[\^~]/, ''),
    cpu: [cpu],
    ...(dev && { dev }),
    ...(libc && { libc }),
    optional: true,
    os: [os === 'windows' ? 'win32' : os],
  }
}
