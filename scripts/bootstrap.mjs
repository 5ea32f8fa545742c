import { spawn } from 'node:child_process'
const [command, ...args] = process.argv.slice(2)
const entry = { test: 'src/test-kit/run-tests.ts', serve: 'src/main.ts' }[command]
spawn(process.execPath, [entry, ...args], { stdio: 'inherit' }).on('exit', (code) => {
  process.exitCode = code ?? 1
})
