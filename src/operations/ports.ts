/** Starts something that listens.
 * @param variable what sets its port
 * @throws {Error} the port cannot be had, with what to do
 */
export async function withFreePort<T>(variable: string, port: number, start: () => Promise<T>): Promise<T> {
  try {
    return await start()
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EADDRINUSE')
      throw new Error(`Port ${port} is in use: stop what uses it, or set ${variable}.`, { cause })
    if (code === 'EACCES') throw new Error(`Port ${port} is not allowed to this user: set ${variable}.`, { cause })
    if (code === 'EADDRNOTAVAIL')
      throw new Error(`The host beside ${variable} is no address of this machine.`, { cause })
    throw cause
  }
}
