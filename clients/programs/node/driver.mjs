// Looks up the names on its standard input with the resolver of Node.js that asks by itself.
import { promises as dns } from 'node:dns'
import { createInterface } from 'node:readline'

createInterface({ input: process.stdin }).on('line', async (line) => {
  const [number, name] = line.split(' ')
  try {
    const [address] = await dns.resolve4(name)
    console.log(`${number} ${address}`)
  } catch (error) {
    console.log(`${number} - ${error.message}`)
  }
})
