import { runLoad } from './load.ts'
import { spawn, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
const bare = fork(new URL('./bare-server.ts', import.meta.url).pathname)
const barePort = await new Promise<number>((r) => bare.once('message', (m: any) => r(m.port)))
const edge = spawn(process.execPath, ['/tmp/c/edge.ts', '18993'], { stdio: ['ignore', 'pipe', 'inherit'] })
await new Promise<void>((r) => edge.stdout.on('data', (d) => String(d).includes('port') && r()))
for (const which of process.argv.slice(2)) {
  const [file, conns] = which.split(':')
  const requests = JSON.parse(readFileSync(`/tmp/c/${file}.json`, 'utf8'))
  const connections = Number(conns)
  await runLoad({ port: 18993, requests, connections, seconds: 1 })
  const a: number[] = [],
    b: number[] = []
  for (let i = 0; i < 4; i++) {
    a.push((await runLoad({ port: barePort, requests, connections, seconds: 2 })).requests_per_second)
    b.push((await runLoad({ port: 18993, requests, connections, seconds: 2 })).requests_per_second)
  }
  const med = (v: number[]) => v.sort((p, q) => q - p)[1]!
  console.log(which, 'bare', Math.round(med(a)), 'ours', Math.round(med(b)), 'ratio', (med(b) / med(a)).toFixed(3))
}
edge.kill('SIGTERM')
bare.kill()
