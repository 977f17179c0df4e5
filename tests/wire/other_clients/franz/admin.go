package main

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace.invalid/other_clients/shared"
)

// what is seen, in order; names of topics and groups do not appear in it, so that two brokers can be compared
var seen = map[string]any{}

func errorName(err error) string {
	var known *kerr.Error
	if err == nil {
		return ""
	} else if errors.As(err, &known) {
		return known.Message
	}
	return err.Error()
}

func topicsAndConfigs(admin *kadm.Client, topic string) {
	ctx := patient()
	_, err := admin.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": kadm.StringPtr("86400000")}, topic)
	shared.Must(err)
	_, err = admin.CreateTopic(ctx, 3, 1, nil, topic)
	seen["create again"] = errorName(err)
	_, err = admin.CreateTopic(ctx, 1, 3, nil, topic+"-r3")
	seen["too many replicas"] = errorName(err)
	validated, err := admin.ValidateCreateTopics(ctx, -1, -1, nil, topic+"-not")
	shared.Must(err)
	seen["validate"] = errorName(validated[topic+"-not"].Err)
	updated, err := admin.UpdatePartitions(ctx, 5, topic)
	shared.Must(err)
	seen["partitions 5"] = errorName(updated[topic].Err)
	updated, err = admin.UpdatePartitions(ctx, 2, topic)
	shared.Must(err)
	seen["partitions 2"] = errorName(updated[topic].Err)
	topics, err := admin.ListTopics(ctx, topic, topic+"-missing")
	shared.Must(err)
	detail := topics[topic]
	shared.Check(detail.ID != kadm.TopicID{}, "no topic id")
	seen["partitions"] = len(detail.Partitions)
	seen["missing"] = errorName(topics[topic+"-missing"].Err)

	changes := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: kadm.StringPtr("compact")},
		{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: kadm.StringPtr("delete")},
		{Op: kadm.DeleteConfig, Name: "retention.ms"}}
	for number, change := range changes {
		altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, topic)
		shared.Must(err)
		seen[fmt.Sprintf("alter %d", number)] = errorName(altered[0].Err)
	}
	bad, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "no.such.key",
		Value: kadm.StringPtr("1")}}, topic)
	shared.Must(err)
	seen["alter unknown"] = errorName(bad[0].Err)
	time.Sleep(shared.Propagation)
	described, err := admin.DescribeTopicConfigs(ctx, topic)
	shared.Must(err)
	var names []string
	for _, config := range described[0].Configs {
		if config.Key != "durability" { // ours
			names = append(names, fmt.Sprintf("%s %v", config.Key, config.Sensitive))
		}
		if config.Key == "cleanup.policy" || config.Key == "retention.ms" {
			seen[config.Key] = fmt.Sprintf("%s %s %d", config.MaybeValue(), config.Source, len(config.Synonyms))
		}
	}
	sort.Strings(names)
	seen["topic configs"] = strings.Join(names, ", ")
	state, err := admin.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "retention.bytes",
		Value: kadm.StringPtr("1000000")}}, topic)
	shared.Must(err)
	seen["alter state"] = errorName(state[0].Err)
	time.Sleep(shared.Propagation)
	described, err = admin.DescribeTopicConfigs(ctx, topic)
	shared.Must(err)
	for _, config := range described[0].Configs {
		if config.Key == "cleanup.policy" || config.Key == "retention.bytes" {
			seen[config.Key+" in all"] = fmt.Sprintf("%s %s", config.MaybeValue(), config.Source)
		}
	}
	brokers, err := admin.ListBrokers(ctx)
	shared.Must(err)
	seen["brokers"] = len(brokers)
	broker := brokers.NodeIDs()[0]
	altered, err := admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Name: "log.cleaner.threads",
		Value: kadm.StringPtr("2")}}, broker)
	shared.Must(err)
	seen["alter broker"] = errorName(altered[0].Err)
	ofBroker, err := admin.DescribeBrokerConfigs(ctx, broker)
	shared.Must(err)
	shared.Check(len(ofBroker[0].Configs) > 100, "%d configs of the broker", len(ofBroker[0].Configs))
	_, err = admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.DeleteConfig,
		Name: "log.cleaner.threads"}}, broker)
	shared.Must(err)
}

func offsetsAndRecords(admin *kadm.Client, client *kgo.Client, topic string) {
	ctx := patient()
	for n := 0; n < 50; n++ {
		record := &kgo.Record{Topic: topic, Value: []byte("v"), Key: []byte("k"), Partition: 0,
			Timestamp: time.UnixMilli(shared.FirstTime + int64(n))}
		shared.Must(client.ProduceSync(ctx, record).FirstErr())
	}
	partition := int32(-1)
	ends, err := admin.ListEndOffsets(ctx, topic)
	shared.Must(err)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset == 50 {
			partition = o.Partition
		}
	})
	shared.Check(partition >= 0, "the records are not where they should be")
	one := func(what string, listed kadm.ListedOffsets, err error) {
		shared.Must(err)
		o, _ := listed.Lookup(topic, partition)
		seen[what] = fmt.Sprint(o.Offset, " ", o.Timestamp, " ", errorName(o.Err))
	}
	listed, err := admin.ListStartOffsets(ctx, topic)
	one("start", listed, err)
	listed, err = admin.ListOffsetsAfterMilli(ctx, shared.FirstTime+20, topic)
	one("after a time", listed, err)
	listed, err = admin.ListOffsetsAfterMilli(ctx, shared.FirstTime+2000, topic)
	one("after the last time", listed, err)
	listed, err = admin.ListMaxTimestampOffsets(ctx, topic)
	one("greatest time", listed, err)
	listed, err = admin.ListCommittedOffsets(ctx, topic)
	one("committed", listed, err)
	listed, err = admin.ListLocalLogStartOffsets(ctx, topic)
	one("local start", listed, err)
	listed, err = admin.ListLatestRemoteOffsets(ctx, topic)
	one("latest remote", listed, err)
	deleted, err := admin.DeleteRecords(ctx, kadm.Offsets{topic: {partition: {Topic: topic,
		Partition: partition, At: 30}}})
	shared.Must(err)
	gone, _ := deleted.Lookup(topic, partition)
	seen["delete records"] = fmt.Sprint(gone.LowWatermark, " ", errorName(gone.Err))
	deleted, err = admin.DeleteRecords(ctx, kadm.Offsets{topic: {partition: {Topic: topic,
		Partition: partition, At: 3000}}})
	shared.Must(err)
	gone, _ = deleted.Lookup(topic, partition)
	seen["delete too many records"] = fmt.Sprint(gone.LowWatermark, " ", errorName(gone.Err))
	listed, err = admin.ListStartOffsets(ctx, topic)
	one("start later", listed, err)
	var epochs kadm.OffsetForLeaderEpochRequest
	epochs.Add(topic, partition, 0)
	answered, err := admin.OffsetForLeaderEpoch(ctx, epochs)
	shared.Must(err)
	seen["end of epoch"] = fmt.Sprint(answered[topic][partition].EndOffset, errorName(answered[topic][partition].Err))
	producers, err := admin.DescribeProducers(ctx, kadm.TopicsSet{topic: {partition: {}}})
	shared.Must(err)
	for _, p := range producers.SortedProducers() {
		seen["producer"] = fmt.Sprint(p.LastSequence, " ", p.CurrentTxnStartOffset, " ", p.ProducerEpoch)
	}
	dirs, err := admin.DescribeAllLogDirs(ctx, kadm.TopicsSet{topic: {partition: {}}})
	shared.Must(err)
	dirs.Each(func(d kadm.DescribedLogDir) {
		shared.Check(d.Err == nil && d.TotalBytes > 0 && d.UsableBytes > 0 && !d.IsCordoned, "%v", d)
		p, there := d.Topics.Lookup(topic, partition)
		seen["log dir"] = fmt.Sprint(there, p.Size > 0, p.OffsetLag, p.IsFuture)
	})
}

func groups(admin *kadm.Client, topic, group string) {
	ctx := patient()
	partition := int32(1)
	committed, err := admin.CommitOffsets(ctx, group, kadm.Offsets{topic: {partition: {Topic: topic,
		Partition: partition, At: 0, LeaderEpoch: -1, Metadata: "a note"}}})
	shared.Must(err)
	seen["commit"] = errorName(committed[topic][partition].Err)
	fetched, err := admin.FetchOffsets(ctx, group)
	shared.Must(err)
	seen["fetched"] = fmt.Sprint(fetched[topic][partition].At, fetched[topic][partition].Metadata)
	byID, err := admin.FetchOffsetsByID(ctx, group)
	seen["fetched by id"] = fmt.Sprint(len(byID), errorName(err))
	lags, err := admin.Lag(ctx, group)
	shared.Must(err)
	seen["lag"] = fmt.Sprint(errorName(lags[group].FetchErr), lags[group].Lag.Total(), lags[group].State)
	listed, err := admin.ListGroups(ctx)
	shared.Must(err)
	seen["listed"] = fmt.Sprint(listed[group].State, listed[group].ProtocolType)
	byType, err := admin.ListGroupsByType(ctx, []string{"classic"}, "Empty")
	shared.Must(err)
	seen["listed by type"] = byType[group].State
	described, err := admin.DescribeGroups(ctx, group, group+"-missing")
	seen["described"] = fmt.Sprint(described[group].State, " ", errorName(described[group].Err), " ",
		errorName(described[group+"-missing"].Err), " ", errorName(err))
	modern, err := admin.DescribeConsumerGroups(ctx, group)
	seen["described as a consumer group"] = fmt.Sprint(errorName(modern[group].Err), " ", errorName(err))
	shares, err := admin.DescribeShareGroups(ctx, group)
	seen["described as a share group"] = fmt.Sprint(errorName(shares[group].Err), " ", errorName(err))
	removed, err := admin.DeleteOffsets(ctx, group, kadm.TopicsSet{topic: {partition: {}}})
	shared.Must(err)
	seen["offset deleted"] = errorName(removed[topic][partition])
	gone, err := admin.DeleteGroups(ctx, group, group+"-missing")
	shared.Must(err)
	seen["group deleted"] = errorName(gone[group].Err) + " " + errorName(gone[group+"-missing"].Err)
	coordinators := admin.FindGroupCoordinators(ctx, group)
	seen["coordinator"] = errorName(coordinators[group].Err)
	coordinators = admin.FindTxnCoordinators(ctx, group)
	seen["transaction coordinator"] = errorName(coordinators[group].Err)
}

func theRest(admin *kadm.Client, topic, group string) {
	ctx := patient()
	metadata, err := admin.BrokerMetadata(ctx)
	shared.Must(err)
	shared.Check(metadata.Cluster != "" && metadata.Controller >= 0, "%v", metadata)
	_, err = admin.ApiVersions(ctx)
	shared.Must(err)
	elected, err := admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, kadm.TopicsSet{topic: {0: {}}})
	shared.Must(err)
	seen["elect"] = errorName(elected[topic][0].Err)
	moves, err := admin.ListPartitionReassignments(ctx, kadm.TopicsSet{topic: {0: {}}})
	shared.Must(err)
	seen["reassignments"] = len(moves)
	listed, err := admin.ListTransactions(ctx, nil, nil)
	shared.Must(err)
	_, there := listed[group+"-tx"]
	seen["transaction"] = there
	transactions, err := admin.DescribeTransactions(ctx, group+"-tx")
	seen["describe a transaction"] = fmt.Sprint(errorName(transactions[group+"-tx"].Err), errorName(err))
	acls, err := admin.DescribeACLs(ctx, kadm.NewACLs().AnyResource().Allow().AllowHosts().Operations())
	seen["acls"] = fmt.Sprint(len(acls), errorName(err))
	if len(acls) > 0 {
		seen["acls"] = errorName(acls[0].Err)
	}
	resources, err := admin.ListConfigResources(ctx, kadm.ConfigResourceType(2))
	seen["config resources"] = fmt.Sprint(len(resources.Resources) > 0, errorName(err))
	features, err := admin.UpdateFeatures(ctx, true)
	seen["update features"] = fmt.Sprint(len(features), errorName(err))
	deleted, err := admin.DeleteTopics(ctx, topic, topic+"-missing")
	shared.Must(err)
	seen["topic deleted"] = errorName(deleted[topic].Err) + " " + errorName(deleted[topic+"-missing"].Err)
}

func administrate(client *kgo.Client, topic, group string) {
	admin := kadm.NewClient(client)
	topicsAndConfigs(admin, topic)
	offsetsAndRecords(admin, client, topic)
	groups(admin, topic, group)
	theRest(admin, topic, group)
	shared.Tell(seen)
}
