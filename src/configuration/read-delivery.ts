import { validateAnswerRules } from '#postbacks'
import type { PostbackEndpoint } from '#routing'
import { report, type Reading } from './check-shape.ts'
import type { FileEndpoint } from './file-schema.ts'
import { problem } from './issues.ts'
import { withoutEmpty } from './objects.ts'
import { dateToMs } from './value-formats.ts'

type Delivery = Pick<
  PostbackEndpoint,
  'max_attempts' | 'quota' | 'retry' | 'success' | 'final_statuses' | 'previous_secret' | 'previous_secret_until'
>

const ATTEMPTS_DEFAULT = 12

/** How an endpoint is sent to, as the snapshot has it. Issues go to `reading`; the result then is not used.
 * @param successDefault of its template; what the file says takes its place
 */
export function readDelivery(
  file: FileEndpoint,
  reading: Reading,
  successDefault?: PostbackEndpoint['success'],
): { [Key in keyof Delivery]: Delivery[Key] | undefined } {
  const { quota, retry, previous_secret_until: until } = file
  const delivery = {
    max_attempts: file.max_attempts ?? (retry === undefined ? ATTEMPTS_DEFAULT : retry.schedule_seconds.length + 1),
    quota: quota && { count: quota.count, per: quota.per, zone: quota.zone ?? 'Etc/UTC' },
    retry: retry && { schedule_seconds: [...retry.schedule_seconds] },
    success: file.success === undefined ? successDefault : readSuccess(file.success),
    final_statuses: file.final_statuses && [...file.final_statuses],
    previous_secret: file.previous_secret,
    previous_secret_until: until === undefined ? undefined : dateToMs(until, 'Etc/UTC'),
  }
  reportAnswerRules(withoutEmpty<Delivery>(delivery), file, reading)
  reportHalfRotation(file, reading)
  return delivery
}

type FileSuccess = NonNullable<FileEndpoint['success']>

const readSuccess = ({ statuses, body, json, otherwise }: FileSuccess): NonNullable<PostbackEndpoint['success']> =>
  withoutEmpty({ statuses: statuses && [...statuses], body: body && { ...body }, json: json && { ...json }, otherwise })

function reportAnswerRules(delivery: Delivery, file: FileEndpoint, reading: Reading): void {
  for (const { key, message } of validateAnswerRules(delivery)) {
    const holder = key === 'final_statuses' ? file : key === 'matches' ? file.success?.body : file.success
    report(reading, reading.treeOf.get(holder ?? file), problem('value_not_allowed', message), key)
  }
}

function reportHalfRotation(file: FileEndpoint, reading: Reading): void {
  const { secret, previous_secret: previous, previous_secret_until: until } = file
  const isHalf = (previous === undefined) !== (until === undefined) || (previous !== undefined && secret === undefined)
  if (!isHalf) return
  const message = 'A secret before needs its end and a present secret: previous_secret, previous_secret_until, secret.'
  report(reading, reading.treeOf.get(file), problem('combination_invalid', message), 'previous_secret')
}

/** A file that names the present secret alone does not end a rotation: the secret before stays for its time.
 * @param present the endpoint of that id in the installation
 */
export function keepRotation(
  endpoint: PostbackEndpoint,
  present: PostbackEndpoint | undefined,
  file: FileEndpoint,
  reading: Reading,
): PostbackEndpoint {
  if (present?.previous_secret === undefined || file.previous_secret !== undefined) return endpoint
  const { previous_secret, previous_secret_until } = present
  if (endpoint.secret === present.secret) return withoutEmpty({ ...endpoint, previous_secret, previous_secret_until })
  if (endpoint.secret !== previous_secret) return endpoint
  const message = 'This secret was replaced by a rotation; the file would put it back.'
  const hint = 'Write the new secret, or the new one as previous_secret to go back.'
  report(reading, reading.treeOf.get(file), problem('secret_invalid', message, hint), 'secret')
  return endpoint
}
