import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

export type Certificate = { readonly keyFile: string; readonly certificateFile: string }

/** Makes a key and a certificate for 127.0.0.1 that is its own authority; clients get it through NODE_EXTRA_CA_CERTS.
 * @throws {Error} openssl is missing or failed
 */
export function makeCertificate(directory: string): Certificate {
  const certificate = { keyFile: join(directory, 'key.pem'), certificateFile: join(directory, 'certificate.pem') }
  const made = spawnSync(
    'openssl',
    [
      ...['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2'],
      ...['-subj', '/CN=waypost bench', '-addext', 'subjectAltName=IP:127.0.0.1'],
      ...['-keyout', certificate.keyFile, '-out', certificate.certificateFile],
    ],
    { encoding: 'utf8' },
  )
  if (made.error !== undefined)
    throw new Error('deliveries_tls needs openssl for a certificate: install it first.', { cause: made.error })
  if (made.status !== 0) throw new Error(`openssl made no certificate: ${made.stderr.trim()}`)
  return certificate
}
