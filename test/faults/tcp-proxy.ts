import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'

/** A port that stays the same while what stands behind it comes and goes. */
export type TcpProxy = {
  readonly port: number
  /** Where new connections go from now on. */
  readonly setTarget: (port: number) => void
  /** Cuts every connection and refuses new ones until `restore`. */
  readonly cut: () => void
  readonly restore: () => void
  readonly stop: () => Promise<void>
}

/** Stands between the installation and its PostgreSQL, so that the database can go away and come back elsewhere. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  let target = targetPort
  let isCut = false
  const open = new Set<Socket>()
  const server = createServer((client) => {
    if (isCut) return void client.destroy()
    const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true })
    client.setNoDelay(true)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from)
      from.pipe(to)
      // The other side learns of an end at once, a broken connection included.
      from.on('error', () => to.destroy())
      from.on('close', () => {
        open.delete(from)
        to.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = (): void => {
    isCut = true
    for (const socket of open) socket.resetAndDestroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    setTarget: (port) => void (target = port),
    cut,
    restore: () => void (isCut = false),
    stop: async () => {
      server.close()
      cut()
      await once(server, 'close')
    },
  }
}
