import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openFileLog } from '#log'
import { createLogLines } from '#platform/log-lines'
import { findFreePort } from '#platform/ports'
import { decodeRecord } from '#records'
import { eventually, startInstallation, type Installation } from '../e2e/installation.ts'
import { PLAIN_LINK, writeFaultConfiguration } from './breakable-site.ts'

export type FullDiskOutcome =
  | { readonly kind: 'skipped'; readonly why: string; readonly findings: readonly [] }
  | {
      readonly kind: 'ran'
      readonly acknowledged: number
      /** Answers 503 while nothing fitted. */
      readonly refused: number
      /** Acknowledged after space was made. */
      readonly after: number
      readonly lost: number
      readonly findings: readonly string[]
    }

const DISK_MEGABYTES = 6
const CLICKS_MAX = 60_000
const CONFIGURED_MS_MAX = 15_000
const AT_ONCE = 32

/** Two installations on disks that fill up: one whose event log alone has a small disk, one that has everything on one. */
export async function runFullDiskScenario(_seed: number, workDir: string): Promise<FullDiskOutcome> {
  const logOnly = await runLogDisk(join(workDir, 'log-disk'))
  if (logOnly.kind === 'skipped') return logOnly
  const whole = await runWholeDisk(join(workDir, 'whole-disk'))
  if (whole.kind === 'skipped') return whole
  return {
    kind: 'ran',
    acknowledged: logOnly.acknowledged + whole.acknowledged,
    refused: logOnly.refused + whole.refused,
    after: logOnly.after + whole.after,
    lost: logOnly.lost + whole.lost,
    findings: [...logOnly.findings, ...whole.findings],
  }
}

/** The event log on a disk of a few megabytes: clicks until it is full, then 503, then space again. Nothing that was answered
 * with a redirect may be missing from the log.
 */
async function runLogDisk(workDir: string): Promise<FullDiskOutcome> {
  mkdirSync(workDir, { recursive: true })
  const dataDir = join(workDir, 'data')
  const disk = join(dataDir, 'log')
  await makeConfiguredDataDir(dataDir, workDir)
  rmSync(disk, { recursive: true, force: true })
  mkdirSync(disk, { mode: 0o700 })
  const refusal = mountTmpfs(disk, DISK_MEGABYTES)
  if (refusal !== undefined) return { kind: 'skipped', why: refusal, findings: [] }
  try {
    return await fillDisk(dataDir, disk)
  } finally {
    execFileSync('umount', ['--lazy', disk])
  }
}

/** A data directory whose edge can start without a database: a first start and its configuration leave the snapshot there. */
async function makeConfiguredDataDir(dataDir: string, workDir: string): Promise<void> {
  const installation = await startInstallation({ dataDir })
  try {
    const file = join(workDir, 'waypost.yaml')
    writeFaultConfiguration(file, 'http://127.0.0.1:9999', `whsec_${Buffer.alloc(32, 'x').toString('base64')}`)
    const applied = await installation.waypost('apply', file)
    if (applied.code !== 0) throw new Error(`the configuration was refused: ${applied.stdout}${applied.stderr}`)
    await eventually(
      () => sendClick(installation.edgeUrl),
      ({ status }) => status === 302,
      CONFIGURED_MS_MAX,
    )
  } finally {
    await installation.stop()
  }
}

/** @returns why it is refused */
function mountTmpfs(directory: string, megabytes: number): string | undefined {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=755`, 'tmpfs', directory], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `a tmpfs cannot be mounted here (${(error as Error).message.trim().split('\n').at(-1)})`
  }
}

async function fillDisk(dataDir: string, disk: string): Promise<FullDiskOutcome> {
  // Space that is given back later, as an operator would.
  const ballast = join(disk, 'ballast')
  writeFileSync(ballast, Buffer.alloc((DISK_MEGABYTES / 2) * 1024 * 1024))
  // Nobody listens at this address: the edge must do without.
  const edge = await startInstallation({
    dataDir,
    args: ['--role', 'edge'],
    waitFor: ['edge'],
    env: { DATABASE_URL: `postgres://nobody:none@127.0.0.1:${await findFreePort()}/none` },
  })
  const acknowledged = new Set<string>()
  try {
    const full = await clickUntil(edge.edgeUrl, acknowledged, ({ refused }) => refused >= 100)
    const before = acknowledged.size
    rmSync(ballast)
    const freed = await clickUntil(edge.edgeUrl, acknowledged, () => acknowledged.size >= before + 100)
    await edge.stop()
    const lost = await countLost(disk, acknowledged)
    const findings: string[] = []
    if (before === 0) findings.push('full disk: no click was acknowledged before')
    if (full.refused < 100) findings.push('full disk: 503 was never answered')
    if (full.other + freed.other > 0)
      findings.push(`full disk: ${full.other + freed.other} answers that are neither 302 nor 503`)
    if (acknowledged.size < before + 100) findings.push('full disk: no click was acknowledged after space was made')
    if (lost > 0) findings.push(`full disk: ${lost} acknowledged clicks are not in the log`)
    return {
      kind: 'ran',
      acknowledged: before,
      refused: full.refused,
      after: acknowledged.size - before,
      lost,
      findings,
    }
  } finally {
    await edge.stop()
  }
}

const WHOLE_DISK_MEGABYTES = 300
const CATCH_UP_MS_MAX = 30_000

/** Everything on one disk: with the log also the click index, PostgreSQL and ClickHouse have nowhere to write. PostgreSQL is
 * killed meanwhile, so that it has to be started again until there is space. Then all must catch up without a hand.
 */
async function runWholeDisk(workDir: string): Promise<FullDiskOutcome> {
  const disk = join(workDir, 'disk')
  mkdirSync(disk, { recursive: true, mode: 0o755 })
  const refusal = mountTmpfs(disk, WHOLE_DISK_MEGABYTES)
  if (refusal !== undefined) return { kind: 'skipped', why: refusal, findings: [] }
  try {
    const installation = await startInstallation({ dataDir: join(disk, 'data') })
    try {
      return await fillWholeDisk(installation, disk, workDir)
    } finally {
      await installation.stop()
    }
  } finally {
    execFileSync('umount', ['--lazy', disk])
  }
}

async function fillWholeDisk(installation: Installation, disk: string, workDir: string): Promise<FullDiskOutcome> {
  const file = join(workDir, 'waypost.yaml')
  writeFaultConfiguration(file, 'http://127.0.0.1:9999', `whsec_${Buffer.alloc(32, 'x').toString('base64')}`)
  const applied = await installation.waypost('apply', file)
  if (applied.code !== 0) throw new Error(`the configuration was refused: ${applied.stdout}${applied.stderr}`)
  for (let status = 0; status !== 302;) status = (await sendClick(installation.edgeUrl)).status
  const acknowledged = new Set<string>()
  const ballast = join(disk, 'ballast')
  fillUp(ballast)
  const full = await clickUntil(installation.edgeUrl, acknowledged, ({ refused }) => refused >= 100)
  const before = acknowledged.size
  killPostgres(join(disk, 'data', 'postgres'))
  const away = await clickUntil(installation.edgeUrl, acknowledged, ({ refused }) => refused >= 100)
  rmSync(ballast)
  const freed = await clickUntil(installation.edgeUrl, acknowledged, () => acknowledged.size >= before + 100)
  const reconcile = await eventually(
    () => installation.waypost('reconcile'),
    ({ code }) => code === 0,
    CATCH_UP_MS_MAX,
  ).catch((error: unknown) => error as Error)
  const lost = await countLost(join(disk, 'data', 'log'), acknowledged)
  const other = full.other + away.other + freed.other
  const findings: string[] = []
  if (full.refused < 100) findings.push('full disk of all: 503 was never answered')
  if (other > 0) findings.push(`full disk of all: ${other} answers that are neither 302 nor 503`)
  if (acknowledged.size < before + 100)
    findings.push('full disk of all: no click was acknowledged after space was made')
  if (lost > 0) findings.push(`full disk of all: ${lost} acknowledged clicks are not in the log`)
  if (reconcile instanceof Error) findings.push(`full disk of all: reconcile does not agree, ${reconcile.message}`)
  return {
    kind: 'ran',
    acknowledged: before,
    refused: full.refused + away.refused,
    after: acknowledged.size - before,
    lost,
    findings,
  }
}

/** Takes all space that is left. */
function fillUp(ballast: string): void {
  for (const bytes of [1 << 20, 1 << 12]) {
    const block = Buffer.alloc(bytes)
    for (let hasRoom = true; hasRoom;) hasRoom = takes(ballast, block)
  }
}

/** @returns false when the disk is full */
function takes(ballast: string, block: Buffer): boolean {
  try {
    appendFileSync(ballast, block)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false
    throw error
  }
}

function killPostgres(directory: string): void {
  const pid = Number(readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n')[0])
  process.kill(pid, 'SIGKILL')
}

type Answers = { refused: number; other: number }

async function clickUntil(
  edgeUrl: string,
  acknowledged: Set<string>,
  isEnough: (answers: Answers) => boolean,
): Promise<Answers> {
  const answers: Answers = { refused: 0, other: 0 }
  for (let sent = 0; sent < CLICKS_MAX && !isEnough(answers); sent += AT_ONCE) {
    const batch = await Promise.all(Array.from({ length: AT_ONCE }, () => sendClick(edgeUrl)))
    for (const { status, clickId } of batch) {
      if (status === 302 && clickId !== null) acknowledged.add(clickId)
      else if (status === 503) answers.refused += 1
      else answers.other += 1
    }
  }
  return answers
}

async function sendClick(edgeUrl: string): Promise<{ status: number; clickId: string | null }> {
  const response = await fetch(`${edgeUrl}/${PLAIN_LINK}?sub1=${'x'.repeat(200)}&sub2=abc-${'y'.repeat(150)}`, {
    redirect: 'manual',
  })
  await response.arrayBuffer()
  const location = response.headers.get('location')
  return { status: response.status, clickId: location === null ? null : new URL(location).searchParams.get('clickid') }
}

async function countLost(logDir: string, acknowledged: ReadonlySet<string>): Promise<number> {
  const log = await openFileLog({ directory: logDir, logLines: createLogLines('fault run', 'fatal') })
  const missing = new Set(acknowledged)
  for (const partition of await log.partitions()) {
    let { firstOffset: offset } = await log.bounds(partition)
    for (;;) {
      const batch = await log.read(partition, offset, { maxRecords: 10_000, maxBytes: 8 << 20 })
      if (batch.nextOffset === offset) break
      offset = batch.nextOffset
      for (const { payload } of batch.records) {
        const record = decodeRecord(payload)
        if (record?.kind === 'click') missing.delete(record.click_id)
      }
    }
  }
  await log.close()
  return missing.size
}
