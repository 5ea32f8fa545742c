import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Paths of the files that belong to the repository, without those that Git ignores; from the root. */
export function listFiles(...patterns: readonly RegExp[]): readonly string[] {
  const output = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  const files = output.split('\n').filter((file) => file !== '' && existsSync(join(ROOT, file)))
  return files.filter((file) => patterns.some((pattern) => pattern.test(file)))
}

export const readText = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

/** Each line that the pattern finds, as `file:line: text`. */
export function findLines(files: readonly string[], pattern: RegExp): readonly string[] {
  return files.flatMap((file) =>
    readText(file)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [])),
  )
}
