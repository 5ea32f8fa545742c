import type { Server } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'

/** A browser sends its request within a round trip of the connection; one that connects ahead of need sends none. */
const FIRST_REQUEST_MS_MAX = 500

/** Ends a server's listening so that nobody who has connected goes unanswered: Node's own close destroys connections whose request
 * is still on its way, and each would be a visitor who sees an error when an edge beside this one goes on.
 * @param server before it listens
 * @returns takes no more connections at once; resolves when all that were taken have sent something, half a second later at the latest
 */
export function prepareStopListening(server: Server): () => Promise<void> {
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  return async () => {
    NetServer.prototype.close.call(server)
    await untilAllSpoke(server, open)
  }
}

async function untilAllSpoke(server: Server, open: ReadonlySet<Socket>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = (): void => {
    if ([...open].every((socket) => socket.bytesRead > 0)) resolve()
  }
  const deadline = setTimeout(resolve, FIRST_REQUEST_MS_MAX)
  for (const socket of open) socket.once('close', look)
  server.on('request', look)
  look()
  await promise
  server.off('request', look)
  for (const socket of open) socket.off('close', look)
  clearTimeout(deadline)
}
