// kafkajs as a client of the broker: the cases that other_clients.py describes.
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const snappy = require('snappyjs')
const lz4 = require('lz4-napi')
const { recordsOf, say, tellRead, sleep, produceUntilClosed, check, main } = require('./common.js')

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])

// kafkajs leaves snappy, lz4 and zstd to packages; node 20 has no zstd
CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: async encoder => snappy.compress(encoder.buffer),
  decompress: async data => {
    if (!data.subarray(0, 8).equals(XERIAL)) return snappy.uncompress(data)
    const pieces = []
    for (let at = 16; at < data.length;) {
      const size = data.readInt32BE(at)
      pieces.push(snappy.uncompress(data.subarray(at + 4, at + 4 + size)))
      at += 4 + size
    }
    return Buffer.concat(pieces)
  }
})
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4.compressFrame(encoder.buffer),
  decompress: async data => lz4.decompressFrame(data)
})
const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4 }

function connect (bootstrap, name = 'kafkajs') {
  return new Kafka({ clientId: name, brokers: [bootstrap], retry: { initialRetryTime: 100, retries: 20 },
    logLevel: process.env.CLIENT_DEBUG ? logLevel.DEBUG : logLevel.WARN,
    logCreator: () => ({ namespace, label, log }) => {
      const { message, timestamp, logger, stack, ...more } = log
      console.error(timestamp, label, namespace, message, JSON.stringify(more))
    } })
}

async function write (bootstrap, topic) {
  let sent = 0
  for (const codec of Object.keys(CODECS)) {
    for (const mode of ['plain', 'idempotent']) {
      const producer = connect(bootstrap).producer({ idempotent: mode === 'idempotent' })
      await producer.connect()
      const messages = recordsOf(codec, mode, sent).map(record => ({ key: record.key, value: record.value,
        timestamp: String(record.time), headers: record.headers }))
      // in pieces: together they would be larger than a batch may be
      const compression = CODECS[codec]
      await producer.send({ topic, compression, messages: messages.slice(0, -1) })
      await producer.send({ topic, compression, messages: messages.slice(-1) })
      sent += messages.length
      await producer.disconnect()
    }
  }
  say(JSON.stringify({ sent, codecs: Object.keys(CODECS), modes: ['plain', 'idempotent'] }))
}

async function read (bootstrap, topic, count, from) {
  const kafka = connect(bootstrap)
  const consumer = kafka.consumer({ groupId: `${topic}-reader-${process.pid}`,
    readUncommitted: from !== 'committed' })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: from !== 'latest' })
  let left = Number(count)
  const all = new Promise(resolve => consumer.run({
    eachMessage: async ({ message }) => {
      if (left-- <= 0) return
      const headers = Object.entries(message.headers)
      tellRead(message.offset, message.key, message.value, headers, message.timestamp)
      if (left === 0) resolve()
    }
  }))
  if (/^\d+$/.test(from)) {
    const admin = kafka.admin()
    await admin.connect()
    for (const { partition, offset } of await admin.fetchTopicOffsetsByTimestamp(topic, Number(from))) {
      consumer.seek({ topic, partition, offset })
    }
    await admin.disconnect()
  }
  await all
  await consumer.disconnect()
}

async function member (bootstrap, topic, groupId, name) {
  const consumer = connect(bootstrap, name).consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 500,
    maxWaitTimeInMs: 500, rebalanceTimeout: 10000 })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    say(`owns ${(payload.memberAssignment[topic] || []).sort().join(',')}`)
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ autoCommitInterval: 100,
    eachMessage: async ({ partition, message }) => say(`record ${partition} ${message.offset} ${message.value}`) })
  await new Promise(resolve => process.on('SIGTERM', resolve))
  await consumer.disconnect()
}

async function produce (bootstrap, topic, mode) {
  const producer = connect(bootstrap).producer({ idempotent: mode === 'idempotent' })
  await producer.connect()
  // An idempotent producer of kafkajs takes back the sequence number of a request that failed, which another that
  // waits then uses: more than one at a time, and it believes records to be there that are not.
  await produceUntilClosed(number => producer.send({ topic,
    messages: [{ key: String(number), value: String(number) }] }).then(
    ([{ partition, baseOffset }]) => say(`acked ${number} ${partition} ${baseOffset}`),
    problem => say(`failed ${number} ${problem}`)), mode === 'idempotent')
  await producer.disconnect()
}

async function transact (producer, topic, prefix, commit) {
  const transaction = await producer.transaction()
  try {
    const messages = [...Array(10).keys()].map(n => ({ value: `${prefix}-${n}` }))
    await transaction.send({ topic, messages })
    await (commit ? transaction.commit() : transaction.abort())
  } catch (problem) {
    if (transaction.isActive()) await transaction.abort().catch(() => {})
    throw problem
  }
}

async function connected (bootstrap, transactionalId) {
  const producer = connect(bootstrap).producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  return producer
}

async function copyAll (bootstrap, from, to, groupId) {
  const producer = await connected(bootstrap, `${groupId}-copier`)
  const consumer = connect(bootstrap).consumer({ groupId, readUncommitted: false })
  await consumer.connect()
  await consumer.subscribe({ topic: from, fromBeginning: true })
  let copied = 0
  await new Promise(resolve => consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch: { partition, messages } }) => {
      for (const commit of [false, true]) {
        const transaction = await producer.transaction()
        await transaction.send({ topic: to, messages: messages.map(({ value }) => ({ value })) })
        const offset = String(Number(messages[messages.length - 1].offset) + 1)
        await transaction.sendOffsets({ consumerGroupId: groupId,
          topics: [{ topic: from, partitions: [{ partition, offset }] }] })
        await (commit ? transaction.commit() : transaction.abort())
      }
      copied += messages.length
      if (copied === 50) resolve()
    }
  }))
  await consumer.disconnect()
  await producer.disconnect()
  return copied
}

async function transactions (bootstrap, from, to, group) {
  const first = await connected(bootstrap, group)
  await transact(first, to, 'committed', true)
  await transact(first, to, 'aborted', false)
  const copied = await copyAll(bootstrap, from, to, group)
  const second = await connected(bootstrap, group)
  await transact(second, to, 'second', true)
  const problem = await transact(first, to, 'fenced', true).then(() => null, problem => problem)
  check(problem, 'the first producer was not fenced')
  await transact(second, to, 'last', true)
  say(JSON.stringify({ copied, 'given up': true, fenced: problem.type || String(problem) }))
}

const named = async promise => promise.then(answer => answer === undefined ? '' : answer,
  problem => problem.type || (problem.errors || []).map(one => one.type).join(' ') || problem.name)

async function administrate (bootstrap, topic, group) {
  const kafka = connect(bootstrap)
  const admin = kafka.admin({ retry: { retries: 1 } })
  await admin.connect()
  const seen = {}
  const wanted = { topic, numPartitions: 3, configEntries: [{ name: 'retention.ms', value: '86400000' }] }
  seen.create = await named(admin.createTopics({ topics: [wanted] }))
  seen['create again'] = await named(admin.createTopics({ topics: [wanted] }))
  seen.validate = await named(admin.createTopics({ topics: [{ topic: topic + '-not' }], validateOnly: true }))
  const grow = count => admin.createPartitions({ topicPartitions: [{ topic, count }] })
  seen['partitions 5'] = await named(grow(5))
  seen['partitions 2'] = await named(grow(2))
  seen.listed = (await admin.listTopics()).includes(topic)
  const metadata = await admin.fetchTopicMetadata({ topics: [topic] })
  seen.metadata = metadata.topics[0].partitions.map(row => [row.partitionErrorCode, row.partitionId,
    row.replicas.length, row.isr.length]).sort()
  seen.missing = await named(admin.fetchTopicMetadata({ topics: [topic + '-missing'] }))
  const resources = [{ type: 2, name: topic }]
  seen.alter = await named(admin.alterConfigs({ validateOnly: false,
    resources: [{ type: 2, name: topic, configEntries: [{ name: 'cleanup.policy', value: 'compact' }] }] }).then(
    answer => answer.resources[0].errorCode))
  seen['alter unknown'] = await named(admin.alterConfigs({ validateOnly: false,
    resources: [{ type: 2, name: topic, configEntries: [{ name: 'no.such.key', value: '1' }] }] }).then(
    answer => answer.resources[0].errorCode))
  await sleep(1000) // Apache Kafka's broker hears of a change a little later
  const described = await admin.describeConfigs({ resources, includeSynonyms: true })
  for (const entry of described.resources[0].configEntries) {
    if (['cleanup.policy', 'retention.ms'].includes(entry.configName)) {
      seen[entry.configName] = [entry.configValue, entry.configSource, entry.isSensitive, entry.readOnly,
        entry.configSynonyms.length]
    }
  }
  const { brokers, controller, clusterId } = await admin.describeCluster()
  check(clusterId && brokers.some(({ nodeId }) => nodeId === controller), 'the cluster')
  seen.brokers = brokers.length
  const producer = kafka.producer()
  await producer.connect()
  for (let n = 0; n < 50; n++) {
    await producer.send({ topic, messages: [{ partition: 0, key: 'k', value: 'v',
      timestamp: String(1700000000000 + n) }] })
  }
  await producer.disconnect()
  const first = rows => rows.filter(({ partition }) => partition === 0)
  seen.offsets = first(await admin.fetchTopicOffsets(topic))
  seen['after a time'] = first(await admin.fetchTopicOffsetsByTimestamp(topic, 1700000000020))
  seen['after the last time'] = first(await admin.fetchTopicOffsetsByTimestamp(topic, 1700000002000))
  const remove = offset => named(admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] }))
  seen['delete records'] = await remove('30')
  seen['delete too many records'] = await remove('3000')
  seen['start later'] = first(await admin.fetchTopicOffsets(topic))
  seen.commit = await named(admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '35' }] }))
  seen.committed = (await admin.fetchOffsets({ groupId: group, topics: [topic] })).map(
    ({ partitions }) => partitions.sort((a, b) => a.partition - b.partition))
  seen.reset = await named(admin.resetOffsets({ groupId: group, topic, earliest: true }))
  seen['reset to'] = (await admin.fetchOffsets({ groupId: group, topics: [topic], resolveOffsets: true })).map(
    ({ partitions }) => first(partitions))
  const { groups } = await admin.listGroups()
  seen['group listed'] = groups.filter(({ groupId }) => groupId === group).map(({ protocolType }) => protocolType)
  seen['groups described'] = (await admin.describeGroups([group])).groups.map(({ errorCode, state, protocol,
    protocolType, members }) => ({ errorCode, state, protocol, protocolType, members }))
  seen['group deleted'] = await named(admin.deleteGroups([group]).then(() => ''))
  seen['missing group deleted'] = await named(admin.deleteGroups([group + '-missing']))
  seen.reassignments = await named(admin.listPartitionReassignments({ topics: [{ topic, partitions: [0] }] }))
  seen.acls = await named(admin.describeAcls({ resourceType: 1, resourcePatternType: 1, permissionType: 1,
    operation: 1 }))
  seen['topic deleted'] = await named(admin.deleteTopics({ topics: [topic] }))
  seen['missing topic deleted'] = await named(admin.deleteTopics({ topics: [topic + '-missing'] }))
  await admin.disconnect()
  say(JSON.stringify(seen))
}

main({ write, read, member, producer: produce, transactions, admin: administrate })
