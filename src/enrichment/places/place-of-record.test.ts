import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mergePlaces, placeOfRecord, PROXY_FLAGS } from './place-of-record.ts'

test('reads the nested layout of GeoIP2, traits included', () => {
  const place = placeOfRecord({
    country: { iso_code: 'TR' },
    subdivisions: [{ iso_code: '34', names: { en: 'Istanbul' } }, { names: { en: 'Fatih' } }],
    city: { names: { en: 'Istanbul', de: 'Istanbul' } },
    traits: { autonomous_system_number: 9121, autonomous_system_organization: 'Turk Telekom', isp: 'TTNet' },
  })
  assert.deepEqual(place, { country: 'TR', region: 'Istanbul', city: 'Istanbul', asn: 9121, isp: 'TTNet' })
})

test('reads the flat layout of ip-location-db', () => {
  const record = { country_code: 'tr', state1: 'Istanbul', state2: '', city: 'Kadikoy', latitude: 41, longitude: 29 }
  assert.deepEqual(placeOfRecord(record), { country: 'TR', region: 'Istanbul', city: 'Kadikoy' })
})

test('takes the organisation of the network where no provider is named', () => {
  const record = { autonomous_system_number: 1221, autonomous_system_organization: 'Telstra' }
  assert.deepEqual(placeOfRecord(record), { asn: 1221, isp: 'Telstra' })
})

test('every kind of proxy is one, on top and in traits; anonymous alone and hosting are not', () => {
  for (const flag of PROXY_FLAGS) {
    assert.deepEqual(placeOfRecord({ [flag]: true }), { is_proxy: true }, flag)
    assert.deepEqual(placeOfRecord({ traits: { [flag]: true } }), { is_proxy: true }, flag)
  }
  assert.deepEqual(placeOfRecord({ is_anonymous: true, is_hosting_provider: true }), { is_hosting: true })
  assert.deepEqual(placeOfRecord({ is_anonymous: true }), {})
})

test('takes no city of one file beside the country of another', () => {
  const places = [{ country: 'DE' }, { country: 'AT', region: 'Wien', city: 'Wien' }, { is_proxy: true as const }]
  assert.deepEqual(mergePlaces(places), { country: 'DE', is_proxy: true })
})

test('takes no provider of one file beside the number of another', () => {
  assert.deepEqual(mergePlaces([{ asn: 1 }, { asn: 2, isp: 'Two' }]), { asn: 1 })
  assert.deepEqual(mergePlaces([{ asn: 1 }, { isp: 'One' }]), { asn: 1, isp: 'One' })
})

test('never throws, whatever a record holds', () => {
  const names = fc.constantFrom('country', 'country_code', 'city', 'subdivisions', 'state1', 'traits', 'isp')
  fc.assert(fc.property(fc.dictionary(names, fc.anything()), (record) => void placeOfRecord(record)))
})
