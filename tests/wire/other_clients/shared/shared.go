// Package shared is what the Go clients have in common: the records of the cases write and read (the same in
// common.js and with_aiokafka.py; other_clients.py knows what they are), and the lines that they print.
package shared

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// FirstTime is the timestamp of the first record that a case writes; each further one is a millisecond later.
	FirstTime = 1700000000000
	// RecordsPerCodec is how many records are written with each codec and mode.
	RecordsPerCodec = 101
	largeSize       = 900 * 1024
	// Patience is how long anything may take before a case fails.
	Patience = 60 * time.Second
	// Propagation is how long Apache Kafka's broker may take to hear of a changed configuration.
	Propagation = time.Second
)

// Record is one record of a case.
type Record struct {
	Key, Value []byte
	Headers    [][2]string
	Time       time.Time
}

// Large is what no codec makes smaller.
func Large() []byte {
	bytes, state := make([]byte, largeSize), uint32(1)
	for at := range bytes {
		state = (state*1103515245 + 12345) & 0x7fffffff
		bytes[at] = byte(state >> 16)
	}
	return bytes
}

// Records are those of one codec and mode; first is the offset that the first one gets.
func Records(codec, mode string, first int) []Record {
	records := make([]Record, RecordsPerCodec)
	for n := range records {
		name := fmt.Sprintf("%s-%s-%d", codec, mode, n)
		record := Record{Key: []byte(name), Headers: [][2]string{{"codec", codec}, {"empty", ""}},
			Value: []byte(name + strings.Repeat("x", 7*n)), Time: time.UnixMilli(FirstTime + int64(first+n))}
		if n == RecordsPerCodec-1 {
			record.Value = Large()
		} else if n%10 == 3 {
			record.Key = nil
		} else if n%10 == 7 {
			record.Value = nil
		}
		records[n] = record
	}
	return records
}

var printing sync.Mutex

// Say prints one line, whole.
func Say(format string, more ...any) {
	printing.Lock()
	defer printing.Unlock()
	fmt.Fprintf(os.Stdout, format+"\n", more...)
}

// Tell prints what a case has to say as one line of JSON.
func Tell(what any) {
	line, err := json.Marshal(what)
	Must(err)
	Say("%s", line)
}

// TellRead prints a record that was read.
func TellRead(offset int64, key, value []byte, headers [][2]string, when time.Time) {
	told := map[string]any{"offset": offset, "key": nil, "size": -1, "headers": headers, "time": when.UnixMilli()}
	if key != nil {
		told["key"] = string(key)
	}
	if value != nil {
		digest := sha256.Sum256(value)
		told["size"], told["digest"] = len(value), hex.EncodeToString(digest[:])
	}
	Tell(told)
}

// Must ends the program with an error.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Patient is for one call that may take until Patience is over.
func Patient() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// Check ends the program when something is not as it should be.
func Check(good bool, format string, more ...any) {
	if !good {
		panic(fmt.Sprintf(format, more...))
	}
}

// UntilEnd is closed when somebody asks the program to end.
func UntilEnd() <-chan os.Signal {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	return end
}

// UntilClosed is closed when standard input is.
func UntilClosed() <-chan struct{} {
	end := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		}
		close(end)
	}()
	return end
}

// Owned is what a member of a group has been assigned; it says "owns 0,1" at each change.
type Owned struct {
	lock       sync.Mutex
	partitions map[int32]bool
}

// Change takes partitions in, and out.
func (owned *Owned) Change(in, out []int32) {
	owned.lock.Lock()
	defer owned.lock.Unlock()
	if owned.partitions == nil {
		owned.partitions = map[int32]bool{}
	}
	for _, partition := range in {
		owned.partitions[partition] = true
	}
	for _, partition := range out {
		delete(owned.partitions, partition)
	}
	var left []int
	for partition := range owned.partitions {
		left = append(left, int(partition))
	}
	sort.Ints(left)
	Say("owns %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(left), " ", ","), "[]"))
}
