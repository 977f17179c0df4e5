// sarama as a client of the broker: the cases that other_clients.py describes.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"millrace.invalid/other_clients/shared"
)

var codecs = []struct {
	name  string
	codec sarama.CompressionCodec
}{
	{"none", sarama.CompressionNone}, {"gzip", sarama.CompressionGZIP}, {"snappy", sarama.CompressionSnappy},
	{"lz4", sarama.CompressionLZ4}, {"zstd", sarama.CompressionZSTD},
}

func newConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.Return.Errors = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Version = sarama.MaxVersion
	if version := os.Getenv("SARAMA_VERSION"); version != "" {
		parsed, err := sarama.ParseKafkaVersion(version)
		shared.Must(err)
		config.Version = parsed
	}
	if os.Getenv("CLIENT_DEBUG") != "" {
		sarama.Logger = log.New(os.Stderr, "", log.Ltime|log.Lmicroseconds)
		sarama.DebugLogger = sarama.Logger
	}
	return config
}

func idempotent(config *sarama.Config) {
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
}

func write(bootstrap, topic string) {
	sent := 0
	for _, codec := range codecs {
		for _, mode := range []string{"plain", "idempotent"} {
			config := newConfig()
			config.Producer.Compression = codec.codec
			if mode == "idempotent" {
				idempotent(config)
			}
			producer, err := sarama.NewSyncProducer([]string{bootstrap}, config)
			shared.Must(err)
			var messages []*sarama.ProducerMessage
			for _, record := range shared.Records(codec.name, mode, sent) {
				message := &sarama.ProducerMessage{Topic: topic, Timestamp: record.Time}
				if record.Key != nil {
					message.Key = sarama.ByteEncoder(record.Key)
				}
				if record.Value != nil {
					message.Value = sarama.ByteEncoder(record.Value)
				}
				for _, header := range record.Headers {
					message.Headers = append(message.Headers,
						sarama.RecordHeader{Key: []byte(header[0]), Value: []byte(header[1])})
				}
				messages = append(messages, message)
			}
			shared.Must(producer.SendMessages(messages))
			sent += len(messages)
			shared.Must(producer.Close())
		}
	}
	shared.Tell(map[string]any{"sent": sent, "codecs": []string{"none", "gzip", "snappy", "lz4", "zstd"},
		"modes": []string{"plain", "idempotent"}})
}

func read(bootstrap, topic string, count int, from string) {
	config := newConfig()
	offset := sarama.OffsetOldest
	switch from {
	case "start":
	case "committed":
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	case "latest":
		offset = sarama.OffsetNewest
	}
	client, err := sarama.NewClient([]string{bootstrap}, config)
	shared.Must(err)
	if millis, err := strconv.ParseInt(from, 10, 64); err == nil {
		offset, err = client.GetOffset(topic, 0, millis)
		shared.Must(err)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	shared.Must(err)
	partitions, err := consumer.Partitions(topic)
	shared.Must(err)
	messages := make(chan *sarama.ConsumerMessage)
	for _, partition := range partitions {
		one, err := consumer.ConsumePartition(topic, partition, offset)
		shared.Must(err)
		go func() {
			for message := range one.Messages() {
				messages <- message
			}
		}()
	}
	late := time.After(shared.Patience)
	for ; count > 0; count-- {
		select {
		case m := <-messages:
			headers := [][2]string{}
			for _, header := range m.Headers {
				headers = append(headers, [2]string{string(header.Key), string(header.Value)})
			}
			shared.TellRead(m.Offset, m.Key, m.Value, headers, m.Timestamp)
		case <-late:
			panic("the records do not come")
		}
	}
}

type handler struct{ owned shared.Owned }

func (h *handler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (h *handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	h.owned.Change([]int32{claim.Partition()}, nil)
	defer h.owned.Change(nil, []int32{claim.Partition()})
	for {
		select {
		case message, more := <-claim.Messages():
			if !more {
				return nil
			}
			shared.Say("record %d %d %s", message.Partition, message.Offset, message.Value)
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func member(bootstrap, topic, group, name, kind string) {
	config := newConfig()
	config.ClientID = name
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Interval = 100 * time.Millisecond
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Consumer.Return.Errors = true
	strategy := sarama.NewBalanceStrategyRange()
	switch kind {
	case "sticky":
		strategy = sarama.NewBalanceStrategySticky()
	case "cooperative":
		strategy = sarama.NewBalanceStrategyCooperativeSticky()
	case "static":
		config.Consumer.Group.InstanceId = name
	}
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	consumer, err := sarama.NewConsumerGroup([]string{bootstrap}, group, config)
	shared.Must(err)
	go func() {
		for err := range consumer.Errors() {
			fmt.Fprintln(os.Stderr, time.Now().Format("15:04:05.000"), err)
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	end := shared.UntilEnd()
	go func() {
		<-end
		cancel()
	}()
	h := &handler{}
	for ctx.Err() == nil {
		if err := consumer.Consume(ctx, []string{topic}, h); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, time.Now().Format("15:04:05.000"), "consume:", err)
			time.Sleep(200 * time.Millisecond)
		}
	}
	shared.Must(consumer.Close())
}

func producer(bootstrap, topic, mode string) {
	config := newConfig()
	config.Producer.Retry.Max = 100
	if mode == "idempotent" {
		idempotent(config)
	}
	async, err := sarama.NewAsyncProducer([]string{bootstrap}, config)
	shared.Must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for message := range async.Successes() {
			shared.Say("acked %s %d %d", message.Value, message.Partition, message.Offset)
		}
	}()
	go func() {
		for failure := range async.Errors() {
			shared.Say("failed %s %v", failure.Msg.Value, failure.Err)
		}
	}()
	closed := shared.UntilClosed()
	for number := 0; ; number++ {
		select {
		case <-closed:
			async.AsyncClose()
			<-done
			return
		case <-time.After(2 * time.Millisecond):
		}
		value := sarama.StringEncoder(strconv.Itoa(number))
		async.Input() <- &sarama.ProducerMessage{Topic: topic, Key: value, Value: value}
	}
}

func transactional(bootstrap, id string) sarama.SyncProducer {
	config := newConfig()
	idempotent(config)
	config.Producer.Transaction.ID = id
	producer, err := sarama.NewSyncProducer([]string{bootstrap}, config)
	shared.Must(err)
	return producer
}

func transaction(producer sarama.SyncProducer, topic, prefix string, commit bool) error {
	if err := producer.BeginTxn(); err != nil {
		return err
	}
	for n := 0; n < 10; n++ {
		value := sarama.StringEncoder(fmt.Sprintf("%s-%d", prefix, n))
		if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: value}); err != nil {
			return err
		}
	}
	if !commit {
		return producer.AbortTxn()
	}
	return producer.CommitTxn()
}

// copier copies what it reads, a record in a transaction, each at the second try.
type copier struct {
	producer        sarama.SyncProducer
	to, group       string
	copied, aborted int
	done            context.CancelFunc
	turn            chan struct{}
}

func (c *copier) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (c *copier) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (c *copier) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message := <-claim.Messages():
			if message == nil {
				return nil
			}
			c.turn <- struct{}{}
			for _, commit := range []bool{false, true} {
				shared.Must(c.producer.BeginTxn())
				_, _, err := c.producer.SendMessage(&sarama.ProducerMessage{Topic: c.to,
					Value: sarama.ByteEncoder(message.Value)})
				shared.Must(err)
				shared.Must(c.producer.AddMessageToTxn(message, c.group, nil))
				if commit {
					shared.Must(c.producer.CommitTxn())
					c.copied++
				} else {
					shared.Must(c.producer.AbortTxn())
					c.aborted++
				}
			}
			if c.copied == 50 {
				c.done()
			}
			<-c.turn
		case <-session.Context().Done():
			return nil
		}
	}
}

func transactions(bootstrap, from, to, group string) {
	first := transactional(bootstrap, group)
	shared.Must(transaction(first, to, "committed", true))
	shared.Must(transaction(first, to, "aborted", false))
	config := newConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	consumer, err := sarama.NewConsumerGroup([]string{bootstrap}, group, config)
	shared.Must(err)
	ctx, cancel := context.WithTimeout(context.Background(), shared.Patience)
	c := &copier{producer: transactional(bootstrap, group+"-copier"), to: to, group: group, done: cancel,
		turn: make(chan struct{}, 1)}
	shared.Must(consumer.Consume(ctx, []string{from}, c))
	shared.Must(consumer.Close())
	second := transactional(bootstrap, group)
	shared.Must(transaction(second, to, "second", true))
	err = transaction(first, to, "fenced", true)
	shared.Check(err != nil, "the first producer was not fenced")
	shared.Must(transaction(second, to, "last", true))
	var failures sarama.ProducerErrors
	if errors.As(err, &failures) {
		err = failures[0].Err
	}
	shared.Tell(map[string]any{"copied": c.copied, "given up": c.aborted > 0, "fenced": err.Error()})
}

func main() {
	words := os.Args[1:]
	switch words[0] {
	case "write":
		write(words[1], words[2])
	case "read":
		count, err := strconv.Atoi(words[3])
		shared.Must(err)
		read(words[1], words[2], count, words[4])
	case "member":
		member(words[1], words[2], words[3], words[4], words[5])
	case "producer":
		producer(words[1], words[2], words[3])
	case "transactions":
		transactions(words[1], words[2], words[3], words[4])
	case "admin":
		administrate(words[1], words[2], words[3])
	}
}
