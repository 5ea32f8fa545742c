import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

/** The built snippet, which is committed: the edge serves it without a build. */
export const builtFile = fileURLToPath(new URL('t.js', import.meta.url))

/** Builds the snippet for browsers of 2018 and later (in-app browsers of old phones among them). */
export async function buildSnippet(): Promise<string> {
  const result = await build({
    entryPoints: [fileURLToPath(new URL('waypost.ts', import.meta.url))],
    bundle: true,
    format: 'iife',
    minify: true,
    target: 'es2018',
    write: false,
    legalComments: 'none',
  })
  return result.outputFiles[0]!.text
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = await buildSnippet()
  writeFileSync(builtFile, text)
  process.stdout.write(`sdk/web/t.js: ${text.length} bytes, ${gzipSync(text, { level: 9 }).length} gzip\n`)
}
