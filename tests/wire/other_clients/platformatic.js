// @platformatic/kafka as a client of the broker: the cases that other_clients.py describes.
Promise.withResolvers ??= () => { // node 20 has none
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}
const { Consumer, Producer } = require('@platformatic/kafka')
const { recordsOf, say, tellRead, produceUntilClosed, main } = require('./common.js')

const CODECS = ['none', 'gzip', 'snappy', 'lz4'] // node 20 has no zstd

function options (bootstrap, more) {
  return { clientId: 'platformatic', bootstrapBrokers: [bootstrap], retries: 50, retryDelay: 200, ...more }
}

async function write (bootstrap, topic) {
  let sent = 0
  for (const compression of CODECS) {
    for (const mode of ['plain', 'idempotent']) {
      const producer = new Producer(options(bootstrap, { idempotent: mode === 'idempotent', compression }))
      const messages = recordsOf(compression, mode, sent).map(record => ({ topic,
        key: record.key === null ? undefined : Buffer.from(record.key),
        value: record.value === null ? undefined : record.value,
        timestamp: BigInt(record.time),
        headers: new Map(Object.entries(record.headers).map(pair => pair.map(text => Buffer.from(text)))) }))
      // in pieces: together they would be larger than a batch may be
      await producer.send({ messages: messages.slice(0, -1) })
      await producer.send({ messages: messages.slice(-1) })
      sent += messages.length
      await producer.close()
    }
  }
  say(JSON.stringify({ sent, codecs: CODECS, modes: ['plain', 'idempotent'] }))
}

async function read (bootstrap, topic, count, from) {
  const consumer = new Consumer(options(bootstrap, { groupId: `${topic}-reader-${process.pid}` }))
  const how = { topics: [topic], mode: from === 'latest' ? 'latest' : 'earliest', autocommit: false,
    maxWaitTime: 500, isolationLevel: from === 'committed' ? 1 : 0 }
  if (/^\d+$/.test(from)) {
    const found = await consumer.listOffsetsWithTimestamps({ topics: [topic], timestamp: BigInt(from) })
    how.mode = 'manual'
    how.offsets = [...found.get(topic)].map(([partition, { offset }]) => ({ topic, partition, offset }))
  }
  const stream = await consumer.consume(how)
  let left = Number(count)
  for await (const message of stream) {
    tellRead(message.offset, message.key && message.key.length ? message.key : null, message.value ?? null,
      message.headerEntries, message.timestamp)
    if (--left === 0) break
  }
}

async function member (bootstrap, topic, groupId, name, kind) {
  const group = kind === 'consumer' ? { groupProtocol: 'consumer' }
    : { sessionTimeout: 6000, rebalanceTimeout: 10000, heartbeatInterval: 500 }
  const consumer = new Consumer(options(bootstrap, { clientId: name, groupId, ...group }))
  const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest',
    autocommit: 100, maxWaitTime: 500 })
  let owned = null
  const owns = () => { // not every change is an event
    const now = (consumer.assignments || []).filter(row => row.topic === topic).flatMap(
      row => row.partitions).sort().join(',')
    if (now !== owned) say('owns ' + (owned = now))
  }
  setInterval(owns, 50)
  stream.on('error', problem => console.error(problem))
  stream.on('data', message => say(`record ${message.partition} ${message.offset} ${message.value}`))
  await new Promise(resolve => process.on('SIGTERM', resolve))
  await stream.close()
  await consumer.close()
}

async function produce (bootstrap, topic, mode) {
  const producer = new Producer(options(bootstrap, { idempotent: mode === 'idempotent' }))
  await produceUntilClosed(number => producer.send({ messages: [{ topic, key: Buffer.from(String(number)),
    value: Buffer.from(String(number)) }] }).then(
    ({ offsets: [{ partition, offset }] }) => say(`acked ${number} ${partition} ${offset}`),
    problem => say(`failed ${number} ${problem}`)), mode === 'idempotent')
  await producer.close()
}

main({ write, read, member, producer: produce })
