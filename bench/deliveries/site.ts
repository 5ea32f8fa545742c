import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogLines } from '#platform/log-lines'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '#platform/postgres'
import type { ProcessOptions } from './answering-process.ts'
import { makeCertificate } from './certificate.ts'
import { prepareDatabases, type DeliveryDatabases } from './delivery-database.ts'
import { startReceiver, type Receiver } from './receiver.ts'

/** The embedded PostgreSQL of the delivery rows, with the settings that it has in an installation. */
export type DeliverySite = AsyncDisposable & {
  readonly directory: string
  readonly postgresPid: number
  /** A receiver, and databases whose endpoints are all at it. */
  readonly openReceiver: (options: { readonly origins: number; readonly hasTls: boolean }) => Promise<ReceivingSite>
}

export type ReceivingSite = AsyncDisposable & {
  readonly receiver: Receiver
  readonly databases: DeliveryDatabases
  /** For processes that send to the receiver: they trust its certificate. */
  readonly processOptions: ProcessOptions
}

export async function openDeliverySite(): Promise<DeliverySite> {
  const directory = mkdtempSync(join(tmpdir(), 'waypost-bench-'))
  const remove = (): void => rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  try {
    const logLines = createLogLines('bench', 'error')
    const server = await startEmbeddedPostgres({ dataDir: join(directory, 'postgres'), password: 'bench', logLines })
    return {
      directory,
      postgresPid: server.pid,
      openReceiver: (options) => openReceiver(server, directory, options),
      [Symbol.asyncDispose]: async () => {
        await server.stop()
        remove()
      },
    }
  } catch (error) {
    remove()
    throw error
  }
}

async function openReceiver(
  server: EmbeddedPostgres,
  directory: string,
  { origins, hasTls }: { readonly origins: number; readonly hasTls: boolean },
): Promise<ReceivingSite> {
  const certificate = hasTls ? makeCertificate(directory) : undefined
  const receiver = await startReceiver({ origins, certificate })
  try {
    const databases = await prepareDatabases(server, receiver.origins)
    return {
      receiver,
      databases,
      processOptions: certificate === undefined ? {} : { env: { NODE_EXTRA_CA_CERTS: certificate.certificateFile } },
      [Symbol.asyncDispose]: async () => {
        await databases.close()
        await receiver.stop()
      },
    }
  } catch (error) {
    await receiver.stop()
    throw error
  }
}
