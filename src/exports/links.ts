import { createHmac, timingSafeEqual } from 'node:crypto'

import { secretKeys } from '#secrets'

const PURPOSE = 'export download'

const sign = (key: Buffer, jobId: string, expiresMs: number): Buffer =>
  createHmac('sha256', key).update(`${jobId}.${expiresMs}`).digest()

/** The query of a download link: whoever has it may fetch the file until then, without a key. */
export function signLink(jobId: string, expiresMs: number): string {
  const signature = sign(secretKeys().signingKeys(PURPOSE)[0]!, jobId, expiresMs).toString('base64url')
  return `expires=${expiresMs}&signature=${signature}`
}

/** Whether a link is ours, and still good. */
export function checkLink(
  jobId: string,
  expiresMs: number,
  signature: string,
  nowMs: number,
): 'good' | 'expired' | 'wrong' {
  const given = Buffer.from(signature, 'base64url')
  const isOurs = secretKeys()
    .signingKeys(PURPOSE)
    .some((key) => {
      const expected = sign(key, jobId, expiresMs)
      return expected.length === given.length && timingSafeEqual(expected, given)
    })
  if (!isOurs) return 'wrong'
  return nowMs < expiresMs ? 'good' : 'expired'
}
