import { StringDecoder } from 'node:string_decoder'

import type { StreamPart } from './stream.ts'

/** The lines of an answer whose rows are lines: JSON, which has no newline inside of a row. */
export async function* linesOf(parts: AsyncIterable<StreamPart>): AsyncIterable<string> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  for await (const { bytes } of parts) {
    const lines = (rest + decoder.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))).split('\n')
    rest = lines.pop()!
    yield* lines
  }
  if (rest !== '') yield rest
}
