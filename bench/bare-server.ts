/** The yardstick: a `node:http` server that does nothing but answer. Started as a process of its own; tells its port to the parent. */
import { createServer } from 'node:http'

const LOCATION = 'http://127.0.0.1:1/landing?clickid=0190c0de-0000-7000-8000-000000000000'

const server = createServer((request, response) => {
  if (request.method !== 'POST') {
    response.writeHead(302, { location: LOCATION })
    response.end()
    return
  }
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    Buffer.concat(chunks)
    response.writeHead(204)
    response.end()
  })
})

server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the bare server has no port')
  process.send?.({ port: address.port })
})
process.on('disconnect', () => process.exit(0))
