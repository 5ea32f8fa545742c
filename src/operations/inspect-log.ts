import { existsSync } from 'node:fs'

import type { Config } from '#config'
import { inspectLog, openFileLog } from '#log'
import { createLogLines } from '#platform/log-lines'
import { decodeRecord } from '#records'

import { dataPaths } from './data-directory.ts'

export type InspectOptions = {
  /** Left out: a summary of every partition. */
  readonly partition?: string
  /** Offset of the first record shown; left out: the oldest kept. */
  readonly fromOffset?: number
  /** Most records shown, integer ≥ 1. */
  readonly limit: number
  /** Reads everything and looks for damage, instead of showing records. */
  readonly isVerified: boolean
}

/** `waypost log inspect`: prints the partitions, or the records of one, as lines of JSON. Reads beside a running installation.
 * @returns exit code: 0; 1 where something of what was read is damaged
 * @throws {Error} there is no log or no such partition
 */
export async function inspectInstallationLog(config: Config, options: InspectOptions): Promise<number> {
  const { log: directory } = dataPaths(config.dataDir)
  if (!existsSync(directory)) throw new Error(`There is no event log in ${directory}.`)
  const log = await openFileLog({ directory, logLines: createLogLines('log inspect', config.logLevel) })
  try {
    const result = await inspectLog({
      ...options,
      log,
      describePayload: (payload) => decodeRecord(payload) ?? { unreadable: payload.toString('base64') },
      print: (line) => void process.stdout.write(`${line}\n`),
    })
    if (result.kind === 'partition_unknown') {
      const known = (await log.partitions()).join(', ') || 'none'
      throw new Error(`There is no partition ${options.partition}; there are: ${known}.`)
    }
    if (options.isVerified) process.stdout.write(`${JSON.stringify(result)}\n`)
    return result.damagedOffsets === 0 ? 0 : 1
  } finally {
    await log.close()
  }
}
