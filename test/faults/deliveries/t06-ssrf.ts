import { runSsrfMatrix } from '#postbacks/test-ssrf'
import type { FaultTest } from './fault-test.ts'

export const ssrfMatrix: FaultTest = {
  shows: 'the SSRF matrix: every range, every way of writing an address, rebinding, mixed answers, redirects',
  run: async ({ seed }) => {
    const { tried, findings } = await runSsrfMatrix({ seed })
    return { did: ['against the real sender, resolver and sockets'], seen: tried, findings }
  },
}
