// segmentio/kafka-go as a client of the broker: the cases that other_clients.py describes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"millrace.invalid/other_clients/shared"
)

var codecs = []struct {
	name  string
	codec kafka.Compression
}{
	{"none", 0}, {"gzip", kafka.Gzip}, {"snappy", kafka.Snappy}, {"lz4", kafka.Lz4}, {"zstd", kafka.Zstd},
}

func patient() context.Context {
	return shared.Patient()
}

func loggers() (debug, problem kafka.Logger) {
	problem = log.New(os.Stderr, "", log.Ltime|log.Lmicroseconds)
	if os.Getenv("CLIENT_DEBUG") != "" {
		return problem, problem
	}
	return nil, problem
}

func newWriter(bootstrap, topic string) *kafka.Writer {
	writer := &kafka.Writer{Addr: kafka.TCP(bootstrap), Topic: topic, RequiredAcks: kafka.RequireAll,
		BatchTimeout: 5 * time.Millisecond, MaxAttempts: 100, Balancer: &kafka.Hash{}}
	writer.Logger, writer.ErrorLogger = loggers()
	return writer
}

func write(bootstrap, topic string) {
	sent := 0
	for _, codec := range codecs {
		writer := newWriter(bootstrap, topic)
		writer.Compression = codec.codec
		var messages []kafka.Message
		for _, record := range shared.Records(codec.name, "plain", sent) {
			message := kafka.Message{Key: record.Key, Value: record.Value, Time: record.Time}
			for _, header := range record.Headers {
				message.Headers = append(message.Headers, kafka.Header{Key: header[0], Value: []byte(header[1])})
			}
			messages = append(messages, message)
		}
		shared.Must(writer.WriteMessages(patient(), messages...))
		sent += len(messages)
		shared.Must(writer.Close())
	}
	shared.Tell(map[string]any{"sent": sent, "codecs": []string{"none", "gzip", "snappy", "lz4", "zstd"},
		"modes": []string{"plain"}})
}

func read(bootstrap, topic string, count int, from string) {
	config := kafka.ReaderConfig{Brokers: []string{bootstrap}, Topic: topic, MaxWait: 500 * time.Millisecond,
		MaxBytes: 10 << 20}
	config.Logger, config.ErrorLogger = loggers()
	connection, err := kafka.Dial("tcp", bootstrap)
	shared.Must(err)
	partitions, err := connection.ReadPartitions(topic)
	shared.Must(err)
	messages := make(chan kafka.Message)
	for _, partition := range partitions {
		config.Partition = partition.ID
		if from == "committed" {
			config.IsolationLevel = kafka.ReadCommitted
		}
		reader := kafka.NewReader(config)
		shared.Must(reader.SetOffset(kafka.FirstOffset))
		if from == "latest" {
			shared.Must(reader.SetOffset(kafka.LastOffset))
		} else if millis, err := strconv.ParseInt(from, 10, 64); err == nil {
			shared.Must(reader.SetOffsetAt(patient(), time.UnixMilli(millis)))
		}
		go func() {
			for {
				message, err := reader.ReadMessage(patient())
				shared.Must(err)
				messages <- message
			}
		}()
	}
	for ; count > 0; count-- {
		m := <-messages
		headers := [][2]string{}
		for _, header := range m.Headers {
			headers = append(headers, [2]string{header.Key, string(header.Value)})
		}
		shared.TellRead(m.Offset, m.Key, m.Value, headers, m.Time)
	}
}

// member uses ConsumerGroup, which says what has been assigned; Reader is made from it.
func member(bootstrap, topic, group, name string) {
	config := kafka.ConsumerGroupConfig{ID: group, Brokers: []string{bootstrap}, Topics: []string{topic},
		Dialer: &kafka.Dialer{ClientID: name, Timeout: 10 * time.Second}, StartOffset: kafka.FirstOffset,
		SessionTimeout: 6 * time.Second, HeartbeatInterval: 500 * time.Millisecond, JoinGroupBackoff: 200 * time.Millisecond}
	config.Logger, config.ErrorLogger = loggers()
	consumers, err := kafka.NewConsumerGroup(config)
	shared.Must(err)
	ctx, cancel := context.WithCancel(context.Background())
	end := shared.UntilEnd()
	go func() {
		<-end
		cancel()
	}()
	for {
		generation, err := consumers.Next(ctx)
		if ctx.Err() != nil {
			break
		} else if err != nil {
			fmt.Fprintln(os.Stderr, "next:", err)
			continue
		}
		owned := &shared.Owned{}
		var partitions []int32
		for _, assigned := range generation.Assignments[topic] {
			partitions = append(partitions, int32(assigned.ID))
			generation.Start(func(ctx context.Context) {
				follow(ctx, generation, bootstrap, topic, assigned.ID, assigned.Offset)
			})
		}
		owned.Change(partitions, nil)
	}
	shared.Must(consumers.Close())
}

func follow(ctx context.Context, generation *kafka.Generation, bootstrap, topic string, partition int, offset int64) {
	config := kafka.ReaderConfig{Brokers: []string{bootstrap}, Topic: topic, Partition: partition,
		MaxWait: 500 * time.Millisecond}
	config.Logger, config.ErrorLogger = loggers()
	reader := kafka.NewReader(config)
	defer reader.Close()
	shared.Must(reader.SetOffset(offset))
	for {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, kafka.ErrGenerationEnded) && !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "read:", err)
				continue
			}
			return
		}
		shared.Say("record %d %d %s", partition, message.Offset, message.Value)
		if err := generation.CommitOffsets(map[string]map[int]int64{topic: {partition: message.Offset + 1}}); err != nil {
			fmt.Fprintln(os.Stderr, "commit:", err)
		}
	}
}

func producer(bootstrap, topic string) {
	writer := newWriter(bootstrap, topic)
	writer.Completion = func(messages []kafka.Message, err error) {
		for _, message := range messages {
			if err != nil {
				shared.Say("failed %s %v", message.Value, err)
			} else {
				shared.Say("acked %s %d %d", message.Value, message.Partition, message.Offset)
			}
		}
	}
	writer.Async = true
	closed := shared.UntilClosed()
	for number := 0; ; number++ {
		select {
		case <-closed:
			shared.Must(writer.Close())
			return
		case <-time.After(3 * time.Millisecond):
		}
		value := []byte(strconv.Itoa(number))
		shared.Must(writer.WriteMessages(context.Background(), kafka.Message{Key: value, Value: value}))
	}
}

func errorName(err error) string {
	var code kafka.Error
	if err == nil {
		return ""
	} else if errors.As(err, &code) {
		return fmt.Sprintf("%d", int(code))
	}
	return err.Error()
}

func administrate(bootstrap, topic, group string) {
	seen := map[string]any{}
	ctx, client := patient(), &kafka.Client{Addr: kafka.TCP(bootstrap)}
	wanted := []kafka.TopicConfig{{Topic: topic, NumPartitions: 3, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "86400000"}}}}
	for _, what := range []string{"create", "create again"} {
		created, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: wanted})
		shared.Must(err)
		seen[what] = errorName(created.Errors[topic])
	}
	for _, count := range []int32{5, 2} {
		grown, err := client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
			Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: count}}})
		shared.Must(err)
		seen[fmt.Sprint("partitions ", count)] = errorName(grown.Errors[topic])
	}
	metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic, topic + "-missing"}})
	shared.Must(err)
	shared.Check(metadata.ClusterID != "", "no cluster id")
	for _, one := range metadata.Topics {
		seen["metadata"+strings.TrimPrefix(one.Name, topic)] = fmt.Sprint(len(one.Partitions), errorName(one.Error))
	}
	altered, err := client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic,
			ResourceName: topic, Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "retention.bytes",
				Value: "1000000", ConfigOperation: kafka.ConfigOperationSet}}}}})
	shared.Must(err)
	seen["alter"] = errorName(altered.Resources[0].Error)
	old, err := client.AlterConfigs(ctx, &kafka.AlterConfigsRequest{Resources: []kafka.AlterConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.AlterConfigRequestConfig{{Name: "segment.bytes", Value: "2000000"}}}}})
	seen["alter all"] = errorName(err)
	if err == nil {
		for _, problem := range old.Errors {
			seen["alter all"] = errorName(problem)
		}
	}
	time.Sleep(shared.Propagation)
	described, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{IncludeSynonyms: true,
		Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
			ConfigNames: []string{"retention.ms", "segment.bytes", "retention.bytes"}}}})
	shared.Must(err)
	for _, entry := range described.Resources[0].ConfigEntries {
		seen[entry.ConfigName] = fmt.Sprint(entry.ConfigValue, " ", entry.ConfigSource, len(entry.ConfigSynonyms))
	}
	records := []kafka.Record{}
	for n := int64(0); n < 50; n++ {
		records = append(records, kafka.Record{Value: kafka.NewBytes([]byte("v")),
			Time: time.UnixMilli(shared.FirstTime + n)})
	}
	produced, err := client.Produce(ctx, &kafka.ProduceRequest{Topic: topic, RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(records...)})
	shared.Must(err)
	seen["produced"] = fmt.Sprint(produced.BaseOffset, produced.LogStartOffset, errorName(produced.Error))
	listed, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		topic: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0), kafka.TimeOffsetOf(0, time.UnixMilli(shared.FirstTime+20))}}})
	shared.Must(err)
	for _, partition := range listed.Topics[topic] {
		seen["offsets"] = fmt.Sprint(partition.FirstOffset, partition.LastOffset, len(partition.Offsets),
			errorName(partition.Error))
	}
	committed, err := client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{GroupID: group, GenerationID: -1,
		Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: 40, Metadata: "a note"}}}})
	shared.Must(err)
	seen["commit"] = errorName(committed.Topics[topic][0].Error)
	fetched, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group,
		Topics: map[string][]int{topic: {0}}})
	shared.Must(err)
	seen["committed"] = fmt.Sprint(fetched.Topics[topic][0].CommittedOffset, fetched.Topics[topic][0].Metadata)
	groups, err := client.ListGroups(ctx, &kafka.ListGroupsRequest{})
	shared.Must(err)
	there := false
	for _, one := range groups.Groups {
		there = there || one.GroupID == group
	}
	seen["group listed"] = there
	about, err := client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	shared.Must(err)
	seen["group described"] = fmt.Sprint(about.Groups[0].GroupState, errorName(about.Groups[0].Error))
	removed, err := client.OffsetDelete(ctx, &kafka.OffsetDeleteRequest{GroupID: group,
		Topics: map[string][]int{topic: {0}}})
	shared.Must(err)
	seen["offset deleted"] = errorName(removed.Topics[topic][0].Error)
	gone, err := client.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group, group + "-missing"}})
	shared.Must(err)
	seen["groups deleted"] = errorName(gone.Errors[group]) + " " + errorName(gone.Errors[group+"-missing"])
	elected, err := client.ElectLeaders(ctx, &kafka.ElectLeadersRequest{Topic: topic, Partitions: []int{0},
		Timeout: 5 * time.Second})
	shared.Must(err)
	seen["elect"] = fmt.Sprint(errorName(elected.Error), len(elected.PartitionResults))
	moves, err := client.ListPartitionReassignments(ctx, &kafka.ListPartitionReassignmentsRequest{
		Topics: map[string]kafka.ListPartitionReassignmentsRequestTopic{topic: {PartitionIndexes: []int{0}}}})
	shared.Must(err)
	seen["reassignments"] = fmt.Sprint(len(moves.Topics), errorName(moves.Error))
	initialized, err := client.InitProducerID(ctx, &kafka.InitProducerIDRequest{TransactionalID: group + "-tx",
		TransactionTimeoutMs: 10000})
	shared.Must(err)
	seen["producer id"] = fmt.Sprint(errorName(initialized.Error), initialized.Producer.ProducerEpoch)
	added, err := client.AddPartitionsToTxn(ctx, &kafka.AddPartitionsToTxnRequest{TransactionalID: group + "-tx",
		ProducerID: initialized.Producer.ProducerID, ProducerEpoch: initialized.Producer.ProducerEpoch,
		Topics: map[string][]kafka.AddPartitionToTxn{topic: {{Partition: 0}}}})
	shared.Must(err)
	seen["added to a transaction"] = errorName(added.Topics[topic][0].Error)
	ended, err := client.EndTxn(ctx, &kafka.EndTxnRequest{TransactionalID: group + "-tx",
		ProducerID: initialized.Producer.ProducerID, ProducerEpoch: initialized.Producer.ProducerEpoch, Committed: true})
	shared.Must(err)
	seen["transaction ended"] = errorName(ended.Error)
	deleted, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic, topic + "-missing"}})
	shared.Must(err)
	seen["topics deleted"] = errorName(deleted.Errors[topic]) + " " + errorName(deleted.Errors[topic+"-missing"])
	shared.Tell(seen)
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
		member(words[1], words[2], words[3], words[4])
	case "producer":
		producer(words[1], words[2])
	case "admin":
		administrate(words[1], words[2], words[3])
	}
}
