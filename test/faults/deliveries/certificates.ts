import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export type KeyPair = { readonly key: Buffer; readonly cert: Buffer }

export type Certificates = {
  /** For NODE_EXTRA_CA_CERTS of whoever is to trust these. */
  readonly authorityFile: string
  readonly good: KeyPair
  readonly expired: KeyPair
  /** Made for another name. */
  readonly misnamed: KeyPair
  /** By nobody whom anyone trusts. */
  readonly selfSigned: KeyPair
}

const NEW_KEY = ['-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']

/** Makes an authority and certificates of it for a name, right and wrong.
 * @throws {Error} openssl is missing or failed
 */
export function makeCertificates(directory: string, hostname: string): Certificates {
  const file = (name: string): string => join(directory, name)
  const selfSigned = (name: string, subject: string, ...more: readonly string[]): KeyPair => {
    openssl('req', '-x509', ...NEW_KEY, '-days', '2', '-subj', subject, ...more, '-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)) // prettier-ignore
    return { key: readFileSync(file(`${name}.key`)), cert: readFileSync(file(`${name}.pem`)) }
  }
  selfSigned('authority', '/CN=authority', '-addext', 'basicConstraints=critical,CA:TRUE')
  const issued = (name: string, forHost: string, days: number): KeyPair => {
    const names = ['-subj', `/CN=${forHost}`, '-addext', `subjectAltName=DNS:${forHost}`]
    openssl('req', '-new', ...NEW_KEY, ...names, '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`))
    openssl('x509', '-req', '-in', file(`${name}.csr`), '-CA', file('authority.pem'), '-CAkey', file('authority.key'), '-days', String(days), '-copy_extensions', 'copy', '-out', file(`${name}.pem`)) // prettier-ignore
    return { key: readFileSync(file(`${name}.key`)), cert: readFileSync(file(`${name}.pem`)) }
  }
  return {
    authorityFile: file('authority.pem'),
    good: issued('good', hostname, 2),
    expired: issued('expired', hostname, -1),
    misnamed: issued('misnamed', 'elsewhere.test', 2),
    selfSigned: selfSigned('self', `/CN=${hostname}`, '-addext', `subjectAltName=DNS:${hostname}`),
  }
}

function openssl(...args: readonly string[]): void {
  const made = spawnSync('openssl', args, { encoding: 'utf8' })
  if (made.error !== undefined) throw new Error('openssl is needed for certificates: install it', { cause: made.error })
  if (made.status !== 0) throw new Error(`openssl made no certificate: ${made.stderr.trim()}`)
}
