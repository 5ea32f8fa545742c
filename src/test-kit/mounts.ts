import { spawnSync, type SpawnSyncReturns } from 'node:child_process'
import type { TestContext } from 'node:test'

/** Runs Node in a process that has a file system of its own mounted on a directory, as a small `tmpfs` that fills up. The test is
 * skipped, with its reason, where user namespaces are refused.
 * @param options as `mount -o` takes them: `size=2m`
 * @returns undefined: it was not run
 */
export function runOnMount(
  t: TestContext,
  directory: string,
  { type, options }: { readonly type: string; readonly options: string },
  nodeArguments: readonly string[],
): SpawnSyncReturns<string> | undefined {
  const mount = `mount -t ${type} -o ${options} ${type} "$0" && exec "$@"`
  const mounted = ['--user', '--map-root-user', '--mount', 'sh', '-c', mount, directory]
  if (spawnSync('unshare', [...mounted, 'true']).status !== 0) {
    t.skip('a file system cannot be mounted here: user namespaces are refused')
    return undefined
  }
  return spawnSync('unshare', [...mounted, process.execPath, ...nodeArguments], { encoding: 'utf8' })
}
