import type { FaultReport, FaultTest } from './fault-test.ts'

/** The matrix stands in a file of its own, with its own servers and names: `run({ seed })` gives what it found. */
const MATRIX = new URL('../ssrf.ts', import.meta.url)

export const ssrfMatrix: FaultTest = {
  shows: 'the SSRF matrix: every range, every way of writing an address, rebinding, mixed answers, redirects',
  run: async ({ seed }) => {
    const { run } = (await import(MATRIX.href)) as {
      readonly run: (input: { readonly seed: number }) => Promise<unknown>
    }
    return readReport(await run({ seed }))
  },
}

/** @throws {TypeError} it gave something else than findings and what it saw */
function readReport(given: unknown): FaultReport {
  const report = given as Partial<FaultReport> | undefined
  if (!Array.isArray(report?.findings) || typeof report.seen !== 'object')
    throw new TypeError(`the matrix answered ${JSON.stringify(given)}: { seen, findings } is wanted`)
  return { did: report.did ?? [], seen: report.seen, findings: report.findings, figures: report.figures ?? {} }
}
