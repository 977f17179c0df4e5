package main

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"millrace.invalid/other_clients/shared"
)

// what is seen; names of topics and groups do not appear in it, so that two brokers can be compared
var seen = map[string]any{}

func errorName(err error) string {
	var code sarama.KError
	if err == nil {
		return ""
	} else if errors.As(err, &code) {
		return fmt.Sprintf("%d", int16(code))
	}
	return err.Error()
}

func text(value string) *string { return &value }

func topicsAndConfigs(admin sarama.ClusterAdmin, topic string) {
	detail := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1,
		ConfigEntries: map[string]*string{"retention.ms": text("86400000")}}
	shared.Must(admin.CreateTopic(topic, detail, false))
	seen["create again"] = errorName(admin.CreateTopic(topic, detail, false))
	seen["validate"] = errorName(admin.CreateTopic(topic+"-not", detail, true))
	seen["partitions 5"] = errorName(admin.CreatePartitions(topic, 5, nil, false))
	seen["partitions 2"] = errorName(admin.CreatePartitions(topic, 2, nil, false))
	listed, err := admin.ListTopics()
	shared.Must(err)
	seen["listed"] = fmt.Sprint(listed[topic].NumPartitions, listed[topic].ReplicationFactor,
		listed[topic].ConfigEntries["retention.ms"] != nil)
	described, err := admin.DescribeTopics([]string{topic, topic + "-missing"})
	shared.Must(err)
	for _, one := range described {
		seen["described"+strings.TrimPrefix(one.Name, topic)] = fmt.Sprint(int16(one.Err), len(one.Partitions))
	}
	seen["alter"] = errorName(admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{
		"retention.bytes": text("1000000")}, false))
	seen["append"] = errorName(admin.IncrementalAlterConfig(sarama.TopicResource, topic,
		map[string]sarama.IncrementalAlterConfigsEntry{"cleanup.policy": {
			Operation: sarama.IncrementalAlterConfigsOperationAppend, Value: text("compact")}}, false))
	seen["alter unknown"] = errorName(admin.IncrementalAlterConfig(sarama.TopicResource, topic,
		map[string]sarama.IncrementalAlterConfigsEntry{"no.such.key": {
			Operation: sarama.IncrementalAlterConfigsOperationSet, Value: text("1")}}, false))
	time.Sleep(shared.Propagation)
	entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	shared.Must(err)
	for _, entry := range entries {
		if entry.Name == "cleanup.policy" || entry.Name == "retention.bytes" || entry.Name == "retention.ms" {
			seen[entry.Name] = fmt.Sprint(entry.Value, " ", entry.Source, entry.ReadOnly, entry.Sensitive)
		}
	}
	brokers, controller, err := admin.DescribeCluster()
	shared.Must(err)
	seen["brokers"] = len(brokers)
	entries, err = admin.DescribeConfig(sarama.ConfigResource{Type: sarama.BrokerResource,
		Name: fmt.Sprint(controller)})
	shared.Must(err)
	shared.Check(len(entries) > 100, "%d configs of the broker", len(entries))
	dirs, err := admin.DescribeLogDirs([]int32{controller})
	shared.Must(err)
	for _, dir := range dirs[controller] {
		seen["log dir"] = fmt.Sprint(int16(dir.ErrorCode), len(dir.Topics) > 0)
	}
}

func offsetsAndRecords(client sarama.Client, admin sarama.ClusterAdmin, topic string) {
	config := *client.Config()
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer([]string{client.Brokers()[0].Addr()}, &config)
	shared.Must(err)
	for n := 0; n < 50; n++ {
		_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: 0,
			Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v"),
			Timestamp: time.UnixMilli(shared.FirstTime + int64(n))})
		shared.Must(err)
		shared.Check(offset == int64(n), "offset %d", offset)
	}
	shared.Must(producer.Close())
	list := func(what string, when int64) {
		found, err := admin.ListOffsets(map[string]map[int32]int64{topic: {0: when}}, &sarama.ListOffsetsOptions{})
		shared.Must(err)
		one := found[topic][0]
		seen[what] = fmt.Sprint(one.Offset, " ", one.Timestamp, " ", errorName(one.Err))
	}
	list("start", -2)
	list("end", -1)
	list("greatest time", -3)
	list("after a time", shared.FirstTime+20)
	list("after the last time", shared.FirstTime+2000)
	seen["delete records"] = errorName(admin.DeleteRecords(topic, map[int32]int64{0: 30}))
	seen["delete too many records"] = strings.ReplaceAll(errorName(admin.DeleteRecords(topic,
		map[int32]int64{0: 3000})), topic, "TOPIC")
	list("start later", -2)
}

func groups(admin sarama.ClusterAdmin, topic, group string) {
	altered, err := admin.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{
		topic: {0: {Offset: 40, Metadata: "a note", LeaderEpoch: -1}}}, nil)
	seen["commit"] = errorName(err)
	if err == nil {
		seen["committed"] = int16(altered.Errors[topic][0])
	}
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1}})
	shared.Must(err)
	for _, partition := range []int32{0, 1} {
		block := offsets.GetBlock(topic, partition)
		seen[fmt.Sprintf("offset of %d", partition)] = fmt.Sprint(block.Offset, block.Metadata, int16(block.Err))
	}
	listed, err := admin.ListConsumerGroups()
	shared.Must(err)
	kind, there := listed[group]
	seen["group listed"] = fmt.Sprint(there, kind)
	described, err := admin.DescribeConsumerGroups([]string{group, group + "-missing"})
	shared.Must(err)
	var lines []string
	for _, one := range described {
		lines = append(lines, fmt.Sprint(strings.TrimPrefix(one.GroupId, group), " ", one.State, " ", int16(one.Err)))
	}
	sort.Strings(lines)
	seen["groups described"] = lines
	seen["offset deleted"] = errorName(admin.DeleteConsumerGroupOffset(group, topic, 0))
	seen["group deleted"] = errorName(admin.DeleteConsumerGroup(group))
	seen["missing group deleted"] = errorName(admin.DeleteConsumerGroup(group + "-missing"))
}

func administrate(bootstrap, topic, group string) {
	client, err := sarama.NewClient([]string{bootstrap}, newConfig())
	shared.Must(err)
	admin, err := sarama.NewClusterAdminFromClient(client)
	shared.Must(err)
	topicsAndConfigs(admin, topic)
	offsetsAndRecords(client, admin, topic)
	groups(admin, topic, group)
	elected, err := admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{topic: {0}})
	seen["elect"] = errorName(err)
	if err == nil {
		seen["elected"] = int16(elected[topic][0].ErrorCode)
	}
	moves, err := admin.ListPartitionReassignments(topic, []int32{0, 1})
	seen["reassignments"] = fmt.Sprint(len(moves), errorName(err))
	_, err = admin.ListAcls(sarama.AclFilter{ResourceType: sarama.AclResourceAny,
		Operation: sarama.AclOperationAny, PermissionType: sarama.AclPermissionAny,
		ResourcePatternTypeFilter: sarama.AclPatternAny})
	seen["acls"] = errorName(err)
	seen["topic deleted"] = errorName(admin.DeleteTopic(topic))
	seen["missing topic deleted"] = errorName(admin.DeleteTopic(topic + "-missing"))
	shared.Must(admin.Close())
	shared.Tell(seen)
}
