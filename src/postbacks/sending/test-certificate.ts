import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { withTempDir } from '#test-kit'

export type Certificate = { readonly key: string; readonly cert: string }

/** A key and a certificate for the name, made for this test and trusted by its process until the test ends.
 * @returns undefined where there is no openssl: the test is skipped
 */
export function withCertificate(t: TestContext, name: string): Certificate | undefined {
  const directory = withTempDir(t)
  const [keyFile, certificateFile] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')]
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2'],
    ...['-subj', '/CN=waypost test', '-addext', `subjectAltName=DNS:${name}`],
    ...['-keyout', keyFile, '-out', certificateFile],
  ])
  if (made.status !== 0) {
    t.skip('openssl makes the certificate, and there is none here')
    return undefined
  }
  const trusted = getCACertificates('default')
  const certificate = { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certificateFile, 'utf8') }
  setDefaultCACertificates([...trusted, certificate.cert])
  t.after(() => setDefaultCACertificates(trusted))
  return certificate
}
