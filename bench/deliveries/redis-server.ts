import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { findFreePort } from '#platform/ports'

export type RedisServer = { readonly port: number; readonly pid: number; readonly stop: () => Promise<void> }

/** Starts a Redis of our own on loopback that flushes before every answer, as PostgreSQL does at a commit.
 * @throws {Error} redis-server is not installed, or did not start
 */
export async function startRedis(directory: string): Promise<RedisServer> {
  const port = await findFreePort()
  const dataDir = join(directory, 'redis')
  mkdirSync(dataDir)
  const server = spawn(
    'redis-server',
    [
      ...['--bind', '127.0.0.1', '--port', String(port), '--dir', dataDir, '--save', ''],
      ...['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'],
    ],
    { stdio: 'ignore' },
  )
  const failed = new Promise<never>((_resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new Error('The peer BullMQ needs redis-server: install the package redis-server (Debian) or redis.', { cause }),
      ),
    )
    server.once('exit', (code) => reject(new Error(`redis-server ended with ${code}`)))
  })
  // The exit that follows a stop is expected.
  failed.catch(() => undefined)
  const client = new Redis({ port, host: '127.0.0.1', maxRetriesPerRequest: null, retryStrategy: () => 50 })
  client.on('error', () => undefined)
  try {
    await Promise.race([client.ping(), failed])
  } finally {
    client.disconnect()
  }
  return {
    port,
    pid: server.pid!,
    stop: async () => {
      const exited = once(server, 'exit')
      server.kill('SIGTERM')
      await exited
    },
  }
}
