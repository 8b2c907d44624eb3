// Looks up the names on its standard input with cacheable-lookup.
import CacheableLookup from 'cacheable-lookup'
import { createInterface } from 'node:readline'

const cacheable = new CacheableLookup()

createInterface({ input: process.stdin }).on('line', async (line) => {
  const [number, name] = line.split(' ')
  try {
    const { address } = await cacheable.lookupAsync(name)
    console.log(`${number} ${address}`)
  } catch (error) {
    console.log(`${number} - ${error.message}`)
  }
})
