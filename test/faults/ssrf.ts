import { runSsrfMatrix } from '#postbacks/test-ssrf'

/** T6: everything that could lead a postback to where it may not go, against the real sender and real sockets. Takes a second.
 * @returns exit code: 0 where nothing went through
 */
export async function run({ seed }: { readonly seed: number }): Promise<number> {
  console.log(`T6, server-side request forgery, seed ${seed}\n`)
  const { tried, findings } = await runSsrfMatrix({ seed })
  console.log('| tried | requests |\n| --- | --- |')
  for (const [what, count] of Object.entries(tried)) console.log(`| ${what} | ${count} |`)
  const total = Object.values(tried).reduce((sum, count) => sum + count, 0)
  if (findings.length === 0) console.log(`\n${total} requests, and nothing went where it may not go.`)
  else console.log(`\nRED:\n${findings.map((one) => `- ${one}`).join('\n')}`)
  return findings.length === 0 ? 0 : 1
}
