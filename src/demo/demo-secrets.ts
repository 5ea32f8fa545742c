import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import type { DemoSecrets } from './demo-configuration.ts'

/** New random secrets. */
export function createDemoSecrets(): DemoSecrets {
  const signing = (): string => `whsec_${randomBytes(32).toString('base64')}`
  return { inbound: randomBytes(18).toString('base64url'), tracker: signing(), affiliate: signing() }
}

/** The secrets of this data directory's demo, made at the first call and readable by the owner only. */
export function keepDemoSecrets(file: string): DemoSecrets {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as DemoSecrets
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const secrets = createDemoSecrets()
    writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 })
    return secrets
  }
}
