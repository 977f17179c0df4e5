// What kafkajs.js and platformatic.js have in common: the records of the cases write and read (the same in
// shared/shared.go and with_aiokafka.py), and the lines that they print.
const crypto = require('crypto')
const fs = require('fs')

const FIRST_TIME = 1700000000000
const PER_CODEC = 101

function large () {
  const bytes = Buffer.alloc(900 * 1024)
  let state = 1
  for (let at = 0; at < bytes.length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    bytes[at] = (state >>> 16) & 0xff
  }
  return bytes
}

function recordsOf (codec, mode, first) {
  const records = []
  for (let n = 0; n < PER_CODEC; n++) {
    const name = `${codec}-${mode}-${n}`
    const record = { key: name, value: Buffer.from(name + 'x'.repeat(7 * n)), time: FIRST_TIME + first + n,
      headers: { codec, empty: '' } }
    if (n === PER_CODEC - 1) record.value = large()
    else if (n % 10 === 3) record.key = null
    else if (n % 10 === 7) record.value = null
    records.push(record)
  }
  return records
}

// at once and whole, so that a kill does not take what was said
function say (line) {
  fs.writeSync(1, line + '\n')
}

function tellRead (offset, key, value, headers, time) {
  const told = { offset: Number(offset), key: key === null ? null : key.toString(), size: -1,
    headers: headers.map(([name, text]) => [name.toString(), text.toString()]), time: Number(time) }
  if (value !== null) {
    told.size = value.length
    told.digest = crypto.createHash('sha256').update(value).digest('hex')
  }
  say(JSON.stringify(told))
}

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

// Numbers a producer's records until standard input ends; send(number) resolves when it has an answer.
async function produceUntilClosed (send, oneAtATime) {
  let closed = false
  process.stdin.resume().on('end', () => { closed = true })
  const underway = new Set()
  for (let number = 0; !closed; number++) {
    const one = send(number).finally(() => underway.delete(one))
    underway.add(one)
    await (oneAtATime ? one : sleep(3))
  }
  await Promise.all(underway)
}

function check (good, what) {
  if (!good) throw new Error(what)
}

function main (cases) {
  const [name, ...words] = process.argv.slice(2)
  cases[name](...words).then(() => process.exit(0), problem => {
    console.error(problem)
    process.exit(1)
  })
}

module.exports = { recordsOf, say, tellRead, sleep, produceUntilClosed, check, main }
