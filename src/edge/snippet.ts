import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'

/** The built snippet of sdk/web, read and packed once. */
export type Snippet = { readonly answer: (request: IncomingMessage, response: ServerResponse) => void }

/** An hour: a fix reaches every page within it, and a page view costs no request in between. */
const CACHE_CONTROL = 'public, max-age=3600'

/** @throws {Error} when the file is not there: the clone is not whole, see `npm run build:sdk` */
export function loadSnippet(file: URL): Snippet {
  const plain = readFileSync(file)
  const packed = gzipSync(plain, { level: 9 })
  const etag = `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`
  return {
    answer(request, response) {
      const shared = ['ETag', etag, 'Cache-Control', CACHE_CONTROL, 'Vary', 'Accept-Encoding']
      const cors = ['Access-Control-Allow-Origin', '*', 'Cross-Origin-Resource-Policy', 'cross-origin']
      if (request.headers['if-none-match']?.includes(etag) === true) {
        response.writeHead(304, [...shared, ...cors])
        response.end()
        return
      }
      const isPacked = request.headers['accept-encoding']?.includes('gzip') === true
      const body = isPacked ? packed : plain
      response.writeHead(200, [
        'Content-Type',
        'text/javascript; charset=utf-8',
        'Content-Length',
        String(body.length),
        'X-Content-Type-Options',
        'nosniff',
        ...(isPacked ? ['Content-Encoding', 'gzip'] : []),
        ...shared,
        ...cors,
      ])
      response.end(body)
    },
  }
}
