import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { WaypostError } from '#platform/errors'

import type { ArchiveKind } from './policies.ts'
import { quoted } from './retirements.ts'

/** Storage that speaks S3, as ClickHouse reaches it. */
export type S3Place = {
  /** http(s)://host:port, without the bucket. */
  readonly endpoint: string
  readonly bucket: string
  /** In front of every path: empty, or ending in a slash. */
  readonly prefix: string
  readonly accessKey: string
  readonly secretKey: string
}

/** Where archives are. A kind that is undefined cannot be written or read here. */
export type ArchivePlaces = {
  /** Absolute path of a directory; undefined with ClickHouse on a server, which does not see this disk. */
  readonly directory: string | undefined
  readonly s3: S3Place | undefined
}

/** The table function of an archive, to insert into and to select from.
 * @param structure columns with their types as ClickHouse writes them; columns that a file lacks have their defaults
 * @throws {WaypostError} archive_unavailable: this installation does not have that kind
 */
export function archiveTable(places: ArchivePlaces, archive: ArchiveKind, path: string, structure: string): string {
  if (archive === 'files') return `file(${quoted(filePath(places, path))}, 'Parquet', ${quoted(structure)})`
  const { s3 } = places
  if (s3 === undefined)
    throw new WaypostError('archive_unavailable', 'Set WAYPOST_S3_ENDPOINT, WAYPOST_S3_BUCKET and the keys.')
  const url = `${s3.endpoint}/${s3.bucket}/${s3.prefix}${path}`
  return `s3(${[url, s3.accessKey, s3.secretKey, 'Parquet', structure].map(quoted).join(', ')})`
}

/** Settings of a statement that writes or reads an archive, as the end of the statement. */
export const ARCHIVE_SETTINGS = [
  `output_format_parquet_compression_method = 'zstd'`,
  'engine_file_truncate_on_insert = 1',
  's3_truncate_on_insert = 1',
  's3_retry_attempts = 3',
  's3_connect_timeout_ms = 5000',
  's3_request_timeout_ms = 60000',
].join(', ')

/** Makes room for a file. */
export function prepareFile(places: ArchivePlaces, path: string): void {
  mkdirSync(dirname(filePath(places, path)), { recursive: true, mode: 0o700 })
}

/** Puts a written file on the disk for good, with the names that lead to it.
 * @returns its bytes
 */
export function keepFile(places: ArchivePlaces, path: string): number {
  const file = filePath(places, path)
  for (const name of [file, dirname(file), dirname(dirname(file)), places.directory!]) flush(name)
  return statSync(file).size
}

function flush(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Removes what a run that failed has left. */
export function removeFile(places: ArchivePlaces, path: string): void {
  rmSync(filePath(places, path), { force: true })
}

function filePath({ directory }: ArchivePlaces, path: string): string {
  if (directory === undefined)
    throw new WaypostError(
      'archive_unavailable',
      'With CLICKHOUSE_URL archives go to S3: ClickHouse does not see this disk.',
    )
  return join(directory, path)
}

/** What went wrong, in the operator's words; the engine's own text may repeat the statement with the keys in it.
 * @returns the error as it is where it is not about an archive
 */
export function explainArchiveError(cause: unknown, { s3 }: ArchivePlaces): unknown {
  if (cause instanceof WaypostError || !(cause instanceof Error)) return cause
  const known = KNOWN.find(({ sign }) => sign.test(cause.message))
  const place = s3 === undefined ? '' : ` (${s3.endpoint}, bucket ${s3.bucket})`
  if (known !== undefined) return new WaypostError('archive_unavailable', known.says.replace('{place}', place))
  if (s3 === undefined || !hasSecret(cause, s3)) return cause
  return new WaypostError('archive_unavailable', `ClickHouse refused a statement on the archive${place}.`)
}

const hasSecret = (cause: Error, { accessKey, secretKey }: S3Place): boolean =>
  [cause.message, cause.stack ?? ''].some((text) => text.includes(secretKey) || text.includes(accessKey))

const KNOWN: readonly { readonly sign: RegExp; readonly says: string }[] = [
  { sign: /bucket does not exist|NoSuchBucket/i, says: 'The bucket does not exist{place}: make it, or correct WAYPOST_S3_BUCKET.' },
  {
    sign: /InvalidAccessKeyId|SignatureDoesNotMatch|signature we calculated|AccessDenied|Access Denied|access key id you provided|Forbidden|HTTP response code: 40[13]/i,
    says: 'The storage refuses the keys{place}: correct WAYPOST_S3_ACCESS_KEY and WAYPOST_S3_SECRET_KEY, and let them read and write.',
  },
  {
    sign: /No space left|NOT_ENOUGH_SPACE|Disk quota exceeded|ENOSPC/i,
    says: 'The disk of the archives is full: free some space. Nothing was dropped.',
  },
  {
    sign: /NoSuchKey|specified key does not exist|File .* doesn't exist|FILE_DOESNT_EXIST/i,
    says: 'A file of the archive is missing{place}: put it back. `waypost retention status` lists the paths.',
  },
  {
    sign: /Connection refused|Host not found|NETWORK_CONNECTION|NetException|Timeout: connect|Connection reset|HTTP response code: 5\d\d|EHOSTUNREACH|DNS/i,
    says: 'The storage cannot be reached{place}: correct WAYPOST_S3_ENDPOINT, or wait until it answers.',
  },
] // prettier-ignore
