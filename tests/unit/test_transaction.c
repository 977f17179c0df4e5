/* One transactional id, as transcripts: an event, and what comes of it.
 *
 *     init [ID EPOCH]          InitProducerId; ID EPOCH as of KIP-360
 *     add|verify ID EPOCH a b  AddPartitionsToTxn of partitions a and b
 *     commit1|abort1 ID EPOCH  EndTxn of version 1 (up to 4); commit2, abort2: of version 2 (5)
 *     late                     its time is up
 *
 * What comes of it is the error, or ID/EPOCH as told to the client; then the state with its
 * partitions if it changed; then the markers with their ID/EPOCH. New producer ids are 100, 101,
 * ...
 */
#include "broker/transaction.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "tests/test.h"

enum { PARTS_MAX = 8 };

struct play {
    struct transaction transaction;
    int64_t next_id, now_ms;
    char said[400];
};

static void begin(struct play *play)
{
    *play = (struct play){ .next_id = 100, .now_ms = 1000 };
    transaction_init(&play->transaction, bytes_text("t"));
}

static void end(struct play *play)
{
    transaction_done(&play->transaction);
}

static void say_parts(struct play *play)
{
    for (size_t i = 0; i < play->transaction.part_count; i++)
        SAY(play->said, " %c", 'a' + play->transaction.parts[i].partition);
}

/* One event and what came of it, in play->said. */
static void step(struct play *play, struct transaction_event *event)
{
    struct transaction_effects effects;
    event->fresh_id = transaction_wants_id(&play->transaction) ? play->next_id++ : -1;
    transaction_step(&play->transaction, event, play->now_ms++, &effects);
    play->said[0] = '\0';
    if (effects.error)
        SAY(play->said, "%s", error_name(effects.error));
    else
        SAY(play->said, "%lld/%d", (long long)effects.producer_id, effects.epoch);
    cr_assert(!effects.error || (effects.producer_id == -1 && effects.epoch == -1));
    if (effects.marker)
        SAY(play->said,
            ", %s as %lld/%d:", effects.marker == TRANSACTION_COMMIT_MARKER ? "commit" : "abort",
            (long long)play->transaction.now.producer_id, effects.marker_epoch);
    if (effects.marker)
        say_parts(play);
    if (!effects.changed)
        return;
    struct out stored = { 0 };
    transaction_encode(&play->transaction, event, &effects, &stored);
    transaction_become(&play->transaction, event, &effects);
    SAY(play->said, ", %s", transaction_state_name(play->transaction.now.state));
    say_parts(play);
    /* What is stored is what it became. */
    struct transaction restored;
    struct out again = { 0 };
    transaction_init(&restored, bytes_text("t"));
    cr_assert_eq(transaction_decode(&restored, bytes_of(stored.data, stored.len)), 0);
    transaction_encode(&restored, NULL, NULL, &again);
    stored.len = 0;
    transaction_encode(&play->transaction, NULL, NULL, &stored);
    cr_assert(bytes_equal(bytes_of(stored.data, stored.len), bytes_of(again.data, again.len)));
    transaction_done(&restored);
    out_done(&stored);
    out_done(&again);
}

static const struct verb {
    const char *name;
    enum transaction_event_kind kind;
    enum transaction_protocol protocol;
    bool committed;
} verbs[] = {
    { "init", TRANSACTION_INIT, TRANSACTION_V2, false },
    { "add", TRANSACTION_ADD, TRANSACTION_V2, false },
    { "verify", TRANSACTION_VERIFY, TRANSACTION_V1, false },
    { "commit1", TRANSACTION_END, TRANSACTION_V1, true },
    { "abort1", TRANSACTION_END, TRANSACTION_V1, false },
    { "commit2", TRANSACTION_END, TRANSACTION_V2, true },
    { "abort2", TRANSACTION_END, TRANSACTION_V2, false },
    { "late", TRANSACTION_LATE, TRANSACTION_V2, false },
};

static void play_line(struct play *play, char *line)
{
    struct transaction_part parts[PARTS_MAX] = { 0 };
    struct transaction_event event = { .producer_id = -1, .epoch = -1, .timeout_ms = 60000 };
    char *expected = strstr(line, " => "), *rest;
    cr_assert_not_null(expected, "%s", line);
    *expected = '\0';
    expected += 4;
    char *word = strtok_r(line, " ", &rest);
    const struct verb *verb = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++)
        if (strcmp(verbs[i].name, word) == 0)
            verb = &verbs[i];
    cr_assert_not_null(verb, "%s", word);
    event.kind = verb->kind;
    event.protocol = verb->protocol;
    event.committed = verb->committed;
    if ((word = strtok_r(NULL, " ", &rest)))
        event.producer_id = atoll(word);
    if ((word = strtok_r(NULL, " ", &rest)))
        event.epoch = (int16_t)atoi(word);
    while ((word = strtok_r(NULL, " ", &rest)))
        parts[event.part_count++].partition = word[0] - 'a';
    event.parts = parts;
    step(play, &event);
    cr_assert_str_eq(play->said, expected, "%s %lld %d: %s, not %s", verb->name,
        (long long)event.producer_id, event.epoch, play->said, expected);
}

/* Lines of "event => what comes of it". */
static void play(struct play *play, const char *script)
{
    char *copy = mem_strdup(script), *rest;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        play_line(play, line + strspn(line, " "));
    mem_free(copy);
}

static void play_alone(const char *script)
{
    struct play one;
    begin(&one);
    play(&one, script);
    end(&one);
}

/* KIP-98: partitions are added, both ends keep the epoch. */
TEST(transaction, of_version_1)
{
    play_alone("init => 100/0, Empty\n"
               "commit1 100 0 => INVALID_TXN_STATE\n"
               "abort1 100 0 => INVALID_TXN_STATE\n"
               "verify 100 0 b => TRANSACTION_ABORTABLE\n"
               "add 100 0 b => 100/0, Ongoing b\n"
               "verify 100 0 b => 100/0\n"
               "verify 100 0 a b => TRANSACTION_ABORTABLE\n"
               "add 100 0 a b => 100/0, Ongoing a b\n"
               "add 100 0 a => 100/0\n"
               "commit1 100 0 => 100/0, commit as 100/0: a b, CompleteCommit\n"
               "commit1 100 0 => 100/0\n"
               "abort1 100 0 => INVALID_TXN_STATE\n"
               "verify 100 0 a => TRANSACTION_ABORTABLE\n"
               "add 100 0 c => 100/0, Ongoing c\n"
               "abort1 100 0 => 100/0, abort as 100/0: c, CompleteAbort\n"
               "abort1 100 0 => 100/0\n"
               "commit1 100 0 => INVALID_TXN_STATE\n");
}

/* KIP-890: each end raises the epoch, in its markers too. */
TEST(transaction, of_version_2)
{
    play_alone("init => 100/0, Empty\n"
               "add 100 0 a => 100/0, Ongoing a\n"
               "add 100 0 b => 100/0, Ongoing a b\n"
               "commit2 100 0 => 100/1, commit as 100/1: a b, CompleteCommit\n"
               "add 100 0 a => PRODUCER_FENCED\n"
               "add 100 1 b => 100/1, Ongoing b\n"
               "commit2 100 0 => PRODUCER_FENCED\n"
               "abort2 100 1 => 100/2, abort as 100/2: b, CompleteAbort\n"
               "late => 0/0\n" /* it had ended: nothing happens, nobody is told */);
}

/* The table of KIP-890 (see end_v2): the client did not hear of its end. */
TEST(transaction, ends_again)
{
    play_alone("init => 100/0, Empty\n"
               "commit2 100 0 => INVALID_TXN_STATE\n"
               "abort2 100 0 => 100/1, abort as 100/1:, CompleteAbort\n"
               "abort2 100 0 => 100/1\n"
               "commit2 100 0 => INVALID_TXN_STATE\n"
               "commit2 100 1 => INVALID_TXN_STATE\n"
               "abort2 100 1 => 100/2, abort as 100/2:, CompleteAbort\n"
               "add 100 2 a => 100/2, Ongoing a\n"
               "commit2 100 2 => 100/3, commit as 100/3: a, CompleteCommit\n"
               "commit2 100 2 => 100/3\n"
               "abort2 100 2 => INVALID_TXN_STATE\n"
               "commit2 100 3 => INVALID_TXN_STATE\n"
               "commit2 100 1 => PRODUCER_FENCED\n"
               "abort2 100 3 => 100/4, abort as 100/4:, CompleteAbort\n"
               "init => 100/5, Empty\n"
               "abort2 100 4 => PRODUCER_FENCED\n"
               "commit2 100 4 => PRODUCER_FENCED\n"
               "commit2 101 5 => INVALID_PRODUCER_ID_MAPPING\n");
}

/* Another program with the same transactional id: the first becomes a zombie. */
TEST(transaction, fences_zombies)
{
    play_alone("init => 100/0, Empty\n"
               "add 100 0 a => 100/0, Ongoing a\n"
               "init => CONCURRENT_TRANSACTIONS, abort as 100/1: a, CompleteAbort\n"
               "add 100 0 b => PRODUCER_FENCED\n"
               "verify 100 0 a => PRODUCER_FENCED\n"
               "commit1 100 0 => PRODUCER_FENCED\n"
               "commit2 100 0 => INVALID_TXN_STATE\n" /* taken for the retry of an abort */
               "init => 100/2, Empty\n"
               "add 100 2 a => 100/2, Ongoing a\n"
               "commit2 100 0 => PRODUCER_FENCED\n"
               "commit2 100 2 => 100/3, commit as 100/3: a, CompleteCommit\n");
}

/* The epoch before the present one is a retry's only if an end raised it: here a newer instance
 * did, whose own end (version 1) did not. Else the zombie would be told the newer one's epoch. */
TEST(transaction, fences_zombies_of_version_2_behind_ends_of_version_1)
{
    play_alone("init => 100/0, Empty\n"
               "init => 100/1, Empty\n"
               "add 100 1 a => 100/1, Ongoing a\n"
               "abort1 100 1 => 100/1, abort as 100/1: a, CompleteAbort\n"
               "abort2 100 0 => PRODUCER_FENCED\n"
               "add 100 1 a => 100/1, Ongoing a\n"
               "commit1 100 1 => 100/1, commit as 100/1: a, CompleteCommit\n"
               "commit2 100 0 => PRODUCER_FENCED\n");
}

TEST(transaction, takes_too_long)
{
    play_alone("init => 100/0, Empty\n"
               "add 100 0 a c => 100/0, Ongoing a c\n"
               "late => 100/1, abort as 100/1: a c, CompleteAbort\n"
               "commit1 100 0 => PRODUCER_FENCED\n"
               "commit2 100 0 => INVALID_TXN_STATE\n"
               "abort2 100 0 => 100/1\n" /* it goes on with the new epoch */
               "add 100 1 a => 100/1, Ongoing a\n");
}

/* KIP-360: a producer goes on after an error; a stranger with an old epoch does not. */
TEST(transaction, goes_on_after_an_error)
{
    play_alone("init => 100/0, Empty\n"
               "init 100 0 => 100/1, Empty\n"
               "init 100 0 => 100/1, Empty\n" /* the answer was lost */
               "init 100 1 => 100/2, Empty\n"
               "init 100 0 => PRODUCER_FENCED\n"
               "init 99 2 => PRODUCER_FENCED\n"
               "init => 100/3, Empty\n" /* somebody else */
               "init 100 2 => PRODUCER_FENCED\n"
               "init 100 3 => 100/4, Empty\n"
               "add 100 4 a => 100/4, Ongoing a\n"
               "init 100 4 => CONCURRENT_TRANSACTIONS, abort as 100/5: a, CompleteAbort\n"
               "init 100 4 => 100/5, Empty\n");
}

/* Its id expired meanwhile: it gets a new one. */
TEST(transaction, is_new_to_one_who_had_it_long_ago)
{
    play_alone("init 7 3 => 100/0, Empty\n");
}

/* Epochs end at 32767; the last one is kept to fence with. */
static void set_epoch(struct play *play, int16_t epoch)
{
    play->transaction.now.epoch = epoch;
}

TEST(transaction, runs_out_of_epochs)
{
    struct play one;
    begin(&one);
    play(&one, "init => 100/0, Empty\n");
    set_epoch(&one, 32765);
    play(&one, "add 100 32765 a => 100/32765, Ongoing a\n"
               "commit2 100 32765 => 100/32766, commit as 100/32766: a, CompleteCommit\n"
               "add 100 32766 a => 100/32766, Ongoing a\n"
               "commit2 100 32766 => 102/0, commit as 100/32767: a, CompleteCommit\n");
    /* id 101 was offered to the add, which did not need it */
    play(&one, "commit2 100 32766 => 102/0\n"
               "abort2 100 32766 => INVALID_TXN_STATE\n"
               "add 102 0 a => 102/0, Ongoing a\n"
               "commit2 100 32766 => INVALID_PRODUCER_ID_MAPPING\n"
               "late => 102/1, abort as 102/1: a, CompleteAbort\n");
    set_epoch(&one, 32766);
    play(&one, "add 102 32766 a => 102/32766, Ongoing a\n"
               "late => 104/0, abort as 102/32767: a, CompleteAbort\n"
               "abort2 102 32766 => 104/0\n");
    set_epoch(&one, 32766);
    play(&one, "init => 105/0, Empty\n");
    set_epoch(&one, 32766);
    play(&one, "init 105 32766 => 106/0, Empty\n"
               "init 105 32766 => 106/0, Empty\n" /* the answer was lost */);
    end(&one);
}

TEST(transaction, knows_its_times)
{
    struct play one;
    begin(&one);
    play(&one, "init => 100/0, Empty\n");
    cr_assert_eq(one.transaction.now.start_ms, -1);
    cr_assert_eq(one.transaction.now.timeout_ms, 60000);
    play(&one, "add 100 0 a => 100/0, Ongoing a\n");
    int64_t start_ms = one.transaction.now.start_ms;
    cr_assert_eq(start_ms, one.now_ms - 1);
    play(&one, "add 100 0 b => 100/0, Ongoing a b\n");
    cr_assert_eq(one.transaction.now.start_ms, start_ms);
    cr_assert_eq(one.transaction.now.update_ms, one.now_ms - 1);
    play(&one, "commit2 100 0 => 100/1, commit as 100/1: a b, CompleteCommit\n");
    cr_assert_eq(one.transaction.now.start_ms, start_ms, "Kafka tells it until the next begins");
    play(&one, "add 100 1 b => 100/1, Ongoing b\n");
    cr_assert_eq(one.transaction.now.start_ms, one.now_ms - 1);
    end(&one);
}

TEST(transaction, is_not_made_of_other_bytes)
{
    struct play one;
    struct out stored = { 0 };
    begin(&one);
    play(&one, "init => 100/0, Empty\n"
               "add 100 0 a b => 100/0, Ongoing a b\n");
    transaction_encode(&one.transaction, NULL, NULL, &stored);
    for (size_t len = 0; len <= stored.len; len++) {
        struct transaction cut;
        transaction_init(&cut, bytes_text("t"));
        cr_assert_eq(transaction_decode(&cut, bytes_of(stored.data, len)),
            len == stored.len ? 0 : -EBADMSG, "%zu", len);
        transaction_done(&cut);
    }
    for (uint8_t state = 0; state < 9; state++) {
        struct transaction other;
        bool known = state == 0 || state == 1 || state == 4 || state == 5;
        stored.data[1] = state;
        transaction_init(&other, bytes_text("t"));
        cr_assert_eq(transaction_decode(&other, bytes_of(stored.data, stored.len)),
            known ? 0 : -EBADMSG, "state %u", state);
        transaction_done(&other);
    }
    out_done(&stored);
    end(&one);
}
