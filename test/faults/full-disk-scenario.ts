import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openFileLog } from '#log'
import { createLogLines } from '#platform/log-lines'
import { decodeRecord } from '#records'
import { findFreePort, startInstallation } from '../e2e/installation.ts'
import { FAULT_LINK, writeFaultConfiguration } from './breakable-site.ts'

export type FullDiskOutcome =
  | { readonly kind: 'skipped'; readonly why: string }
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
const AT_ONCE = 32

/** The event log on a disk of a few megabytes: clicks until it is full, then 503, then space again. Nothing that was answered
 * with a redirect may be missing from the log.
 */
export async function runFullDiskScenario(_seed: number, workDir: string): Promise<FullDiskOutcome> {
  const dataDir = join(workDir, 'data')
  const disk = join(dataDir, 'log')
  await makeConfiguredDataDir(dataDir, workDir)
  rmSync(disk, { recursive: true, force: true })
  mkdirSync(disk, { mode: 0o700 })
  const refusal = mountTmpfs(disk)
  if (refusal !== undefined) return { kind: 'skipped', why: refusal }
  try {
    return await fillDisk(dataDir, disk)
  } finally {
    execFileSync('umount', ['--lazy', disk])
  }
}

/** A data directory whose edge can start without a database: a first start and its configuration leave the snapshot there. */
async function makeConfiguredDataDir(dataDir: string, workDir: string): Promise<void> {
  const installation = await startInstallation({ dataDir })
  const file = join(workDir, 'waypost.yaml')
  writeFaultConfiguration(file, 'http://127.0.0.1:9999', `whsec_${Buffer.alloc(32, 'x').toString('base64')}`)
  const applied = await installation.waypost('apply', file)
  if (applied.code !== 0) throw new Error(`the configuration was refused: ${applied.stdout}${applied.stderr}`)
  for (let status = 0; status !== 302;) status = (await sendClick(installation.edgeUrl)).status
  copyFileSync(join(dataDir, 'snapshot.json'), join(workDir, 'snapshot.json'))
  await installation.stop()
}

/** @returns why it is refused */
function mountTmpfs(directory: string): string | undefined {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MEGABYTES}m`, 'tmpfs', directory], { stdio: 'pipe' })
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
  const response = await fetch(`${edgeUrl}/${FAULT_LINK}?sub1=${'x'.repeat(200)}&sub2=abc-${'y'.repeat(150)}`, {
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
