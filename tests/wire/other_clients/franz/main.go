// franz-go as a client of the broker: the cases that other_clients.py describes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace.invalid/other_clients/shared"
)

var codecs = []struct {
	name  string
	codec kgo.CompressionCodec
}{
	{"none", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()},
	{"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()},
}

func connect(bootstrap string, options ...kgo.Opt) *kgo.Client {
	level := kgo.LogLevelWarn
	if os.Getenv("CLIENT_DEBUG") != "" {
		level = kgo.LogLevelDebug
	}
	now := func() string { return time.Now().Format("15:04:05.000 ") }
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, level, now))}, options...)...)
	shared.Must(err)
	return client
}

func patient() context.Context {
	return shared.Patient()
}

func write(bootstrap, topic string) {
	sent := 0
	for _, codec := range codecs {
		for _, mode := range []string{"plain", "idempotent"} {
			options := []kgo.Opt{kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codec.codec)}
			if mode == "plain" {
				options = append(options, kgo.DisableIdempotentWrite())
			}
			client := connect(bootstrap, options...)
			var records []*kgo.Record
			for _, record := range shared.Records(codec.name, mode, sent) {
				made := &kgo.Record{Key: record.Key, Value: record.Value, Timestamp: record.Time}
				for _, header := range record.Headers {
					made.Headers = append(made.Headers, kgo.RecordHeader{Key: header[0], Value: []byte(header[1])})
				}
				records = append(records, made)
			}
			shared.Must(client.ProduceSync(patient(), records...).FirstErr())
			sent += len(records)
			client.Close()
		}
	}
	shared.Tell(map[string]any{"sent": sent, "codecs": []string{"none", "gzip", "snappy", "lz4", "zstd"},
		"modes": []string{"plain", "idempotent"}})
}

func read(bootstrap, topic string, count int, from string) {
	offset, level := kgo.NewOffset().AtStart(), kgo.ReadUncommitted()
	switch from {
	case "start":
	case "committed":
		level = kgo.ReadCommitted()
	case "latest":
		offset = kgo.NewOffset().AtEnd()
	default:
		millis, err := strconv.ParseInt(from, 10, 64)
		shared.Must(err)
		offset = kgo.NewOffset().AfterMilli(millis)
	}
	client := connect(bootstrap, kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(offset),
		kgo.FetchIsolationLevel(level))
	defer client.Close()
	for count > 0 {
		fetches := client.PollFetches(patient())
		shared.Must(fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if count--; count < 0 {
				return
			}
			headers := [][2]string{}
			for _, header := range r.Headers {
				headers = append(headers, [2]string{header.Key, string(header.Value)})
			}
			shared.TellRead(r.Offset, r.Key, r.Value, headers, r.Timestamp)
		})
	}
}

func member(bootstrap, topic, group, name, kind string) {
	var owned shared.Owned
	gained := func(_ context.Context, _ *kgo.Client, topics map[string][]int32) { owned.Change(topics[topic], nil) }
	lost := func(_ context.Context, _ *kgo.Client, topics map[string][]int32) { owned.Change(nil, topics[topic]) }
	options := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.ClientID(name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	if kind == "share" {
		options = append(options, kgo.ShareGroup(group))
	} else {
		options = append(options, kgo.ConsumerGroup(group), kgo.SessionTimeout(6*time.Second),
			kgo.HeartbeatInterval(500*time.Millisecond), kgo.AutoCommitInterval(100*time.Millisecond),
			kgo.OnPartitionsAssigned(gained), kgo.OnPartitionsRevoked(lost), kgo.OnPartitionsLost(lost))
	}
	switch kind {
	case "range":
		options = append(options, kgo.Balancers(kgo.RangeBalancer()))
	case "static":
		options = append(options, kgo.InstanceID(name))
	case "consumer":
		options = append(options, kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer())
	}
	client := connect(bootstrap, options...)
	if kind == "share" {
		readFromStart(client, group)
	}
	ctx, cancel := context.WithCancel(context.Background())
	end := shared.UntilEnd()
	go func() {
		<-end
		cancel()
	}()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(_ string, partition int32, err error) {
			if !errors.Is(err, context.Canceled) {
				shared.Say("error %d %v", partition, err)
			}
		})
		fetches.EachRecord(func(r *kgo.Record) { shared.Say("record %d %d %s", r.Partition, r.Offset, r.Value) })
	}
	if kind != "share" { // Close commits only what was polled before the last poll
		shared.Must(client.CommitUncommittedOffsets(patient()))
	}
	client.Close()
}

// readFromStart lets a share group begin with what is there already.
func readFromStart(client *kgo.Client, group string) {
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = "share.auto.offset.reset", kmsg.StringPtr("earliest")
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	resource.Configs = append(resource.Configs, config)
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.Resources = append(request.Resources, resource)
	answer, err := request.RequestWith(patient(), client)
	shared.Must(err)
	shared.Must(kerr.ErrorForCode(answer.Resources[0].ErrorCode))
}

func producer(bootstrap, topic, mode string) {
	options := []kgo.Opt{kgo.DefaultProduceTopic(topic)}
	if mode == "plain" {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client := connect(bootstrap, options...)
	closed := shared.UntilClosed()
	for number := 0; ; number++ {
		select {
		case <-closed:
			shared.Must(client.Flush(patient()))
			client.Close()
			return
		case <-time.After(2 * time.Millisecond):
		}
		value := strconv.Itoa(number)
		client.Produce(context.Background(), kgo.KeySliceRecord([]byte(value), []byte(value)),
			func(r *kgo.Record, err error) {
				if err != nil {
					shared.Say("failed %s %v", value, err)
				} else {
					shared.Say("acked %s %d %d", value, r.Partition, r.Offset)
				}
			})
	}
}

func transaction(client *kgo.Client, topic, prefix string, end kgo.TransactionEndTry) error {
	shared.Must(client.BeginTransaction())
	for n := 0; n < 10; n++ {
		client.Produce(patient(), &kgo.Record{Topic: topic, Value: []byte(fmt.Sprintf("%s-%d", prefix, n))},
			func(_ *kgo.Record, err error) {
				if err != nil {
					fmt.Fprintln(os.Stderr, "produce:", err)
				}
			})
	}
	if err := client.Flush(patient()); err != nil {
		return err
	}
	return client.EndTransaction(patient(), end)
}

// copyAll copies the 50 records of one topic to another; the first try of each batch is given up.
func copyAll(bootstrap, from, to, group string) (copied, aborted int) {
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(bootstrap), kgo.TransactionalID(group+"-copier"),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets(),
		kgo.DefaultProduceTopic(to))
	shared.Must(err)
	defer session.Close()
	for try := 0; copied < 50; try++ {
		fetches := session.PollFetches(patient())
		shared.Must(fetches.Err())
		shared.Must(session.Begin())
		fetches.EachRecord(func(r *kgo.Record) {
			session.Produce(patient(), kgo.SliceRecord(r.Value), nil) // what fails makes End give up
		})
		committed, err := session.End(patient(), kgo.TransactionEndTry(try > 0))
		shared.Must(err)
		if committed {
			copied += fetches.NumRecords()
		} else {
			aborted += fetches.NumRecords()
		}
	}
	return copied, aborted
}

func transactions(bootstrap, from, to, group string) {
	id := kgo.TransactionalID(group)
	first := connect(bootstrap, id)
	shared.Must(transaction(first, to, "committed", kgo.TryCommit))
	shared.Must(transaction(first, to, "aborted", kgo.TryAbort))
	copied, aborted := copyAll(bootstrap, from, to, group)
	second := connect(bootstrap, id)
	shared.Must(transaction(second, to, "second", kgo.TryCommit))
	err := transaction(first, to, "fenced", kgo.TryCommit)
	shared.Check(err != nil, "the first producer was not fenced")
	shared.Must(transaction(second, to, "last", kgo.TryCommit))
	shared.Tell(map[string]any{"copied": copied, "given up": aborted > 0, "fenced": err.Error()})
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
		client := connect(words[1])
		administrate(client, words[2], words[3])
		client.Close()
	}
}
