import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { HOSTING_SYSTEMS, isHostingNetwork } from './hosting.ts'

test('every listed system has the listed name in the registries', () => {
  const source = createRequire(import.meta.url).resolve('@ip-location-db/asn/asn-ipv4-num.csv')
  const names = new Map<number, string>()
  for (const line of readFileSync(source, 'utf8').split('\n')) {
    const [, asn, name] = /^\d+,\d+,(\d+),(.*)$/.exec(line) ?? []
    if (asn !== undefined && HOSTING_SYSTEMS.has(Number(asn))) names.set(Number(asn), name!)
  }
  for (const [asn, name] of HOSTING_SYSTEMS)
    assert.ok(names.get(asn)?.toLowerCase().includes(name.toLowerCase()), `${asn} is ${names.get(asn)}, not ${name}`)
})

test('an organisation that says so sells servers', () => {
  for (const isp of ['A2 Hosting, Inc.', 'Best Web Hosters', 'Ace Data Centers II', 'Kingsoft Cloud', 'XY VPS Ltd', 'UK Dedicated Servers Limited'])
    assert.equal(isHostingNetwork({ isp }), true, isp) // prettier-ignore
})

test('access providers and relays that people use do not', () => {
  for (const isp of ['Deutsche Telekom AG', 'Cloudflare, Inc.', 'Turk Telekom', 'Hostel Networks', 'VPSK Telecom'])
    assert.equal(isHostingNetwork({ isp }), false, isp)
  assert.equal(isHostingNetwork({ asn: 13335, isp: 'Cloudflare, Inc.' }), false)
  assert.equal(isHostingNetwork({ asn: 36183, isp: 'Akamai Technologies, Inc.' }), false)
  assert.equal(isHostingNetwork({}), false)
})
