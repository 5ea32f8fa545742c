import { receiverTemplateNames, receiverTemplates, type ReceiverTemplate, type ReceiverTemplateName } from '#postbacks'

/** Prints the ready-made endpoints, or one of them with its parameters and an example for the configuration file.
 * @returns the exit code: 2 where there is none of that name
 */
export function listTemplates(name: string | undefined): number {
  if (name === undefined) {
    process.stdout.write(`${receiverTemplateNames.map(summaryOf).join('\n')}\n`)
    return 0
  }
  const known = receiverTemplateNames.find((one) => one === name)
  if (known === undefined) {
    process.stderr.write(`waypost: There is no template "${name}": ${receiverTemplateNames.join(', ')}.\n`)
    return 2
  }
  process.stdout.write(describe(known, receiverTemplates[known]))
  return 0
}

const summaryOf = (name: ReceiverTemplateName): string => {
  const { label, method, url } = receiverTemplates[name]
  return `${name.padEnd(18)} ${label.padEnd(18)} ${method} ${url}`
}

function describe(name: string, { label, method, url, note, source, parameters, isSigned }: ReceiverTemplate): string {
  const needed = parameters.filter((parameter) => parameter.isNeeded).map((parameter) => `${parameter.name}: …`)
  const lines = parameters.map(({ name: key, isNeeded, byDefault, description }) => {
    const kind = isNeeded ? 'needed' : byDefault === undefined ? 'optional' : `default: ${byDefault}`
    return `  ${key.padEnd(10)} ${description} (${kind})`
  })
  return [
    `${label}: ${note}`,
    `  ${method} ${url}`,
    ...lines,
    '',
    'endpoints:',
    '  my-receiver:',
    `    template: ${name}`,
    `    parameters: { ${needed.join(', ')} }`,
    ...(isSigned === true ? ['    secret: whsec_…'] : []),
    '',
    `Documented at ${source}`,
    '',
  ].join('\n')
}
