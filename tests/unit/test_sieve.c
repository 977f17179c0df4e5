/* See sieve.h: batches made by hand, rule by rule. */
#include "storage/sieve.h"

#include <errno.h>

#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "tests/test.h"

enum { NOW = 1000000, KEEP = 5000 };

/* A log in memory: batches behind one another. */
struct shelf {
    struct out bytes;
    int64_t end;
};

struct made {
    enum codec codec;
    int64_t producer_id;
    int32_t sequence;
    uint16_t attributes;
};

static const struct made plain = { CODEC_NONE, -1, -1, 0 };

/* "k=v k=v": a record each; "k=" has the value "", "k" is a tombstone, "=v" has no key. */
static void add(struct shelf *shelf, const struct made *made, const char *records)
{
    struct batch_options options = batch_options_plain(made->codec);
    struct batch_builder builder = { 0 };
    struct compressor compressor;
    options.producer_id = made->producer_id;
    options.producer_epoch = made->producer_id < 0 ? -1 : 0;
    options.base_sequence = made->sequence;
    options.attributes = made->attributes;
    options.base_offset = shelf->end;
    compressor_init(&compressor);
    batch_builder_begin(&builder, &options);
    while (*records) {
        size_t len = strcspn(records, " "), key = strcspn(records, "= ");
        struct record_view record = { .timestamp = 100 + shelf->end };
        record.key = key ? bytes_of(records, key) : bytes_of(NULL, 0);
        if (key < len)
            record.value = bytes_of(records + key + 1, len - key - 1);
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
        shelf->end++;
        records += len + (records[len] == ' ');
    }
    cr_assert_eq(batch_builder_finish(&builder, &compressor, &shelf->bytes), 0);
    batch_builder_done(&builder);
    compressor_done(&compressor);
}

static void add_marker(struct shelf *shelf, int64_t producer_id, bool commit)
{
    struct batch_options producer = batch_options_plain(CODEC_NONE);
    size_t at = shelf->bytes.len;
    producer.producer_id = producer_id;
    producer.producer_epoch = 0;
    control_build(&shelf->bytes, &producer, commit, 1, 100 + shelf->end);
    batch_set_base_offset(shelf->bytes.data + at, shelf->end++);
}

struct trial {
    struct sieve sieve;
    struct sieve_producer producers[4];
    struct sieve_aborted aborted[4];
    size_t producer_count, aborted_count;
    int64_t now_ms, from, round_end;
    uint64_t map_bytes;
};

static struct trial trial_of(void)
{
    return (struct trial){ .now_ms = NOW, .round_end = -1, .map_bytes = 1 << 20 };
}

static void *copy_of(const void *from, size_t count, size_t size)
{
    void *to = mem_zalloc(count + 1, size);
    memcpy(to, from, count * size);
    return to;
}

static int learn(struct sieve *sieve, const struct shelf *shelf)
{
    struct bytes run = bytes_of(shelf->bytes.data, shelf->bytes.len);
    struct batch_view batch;
    int status = 0;
    while (status == 0 && run.len) {
        cr_assert_eq(batch_next(&run, &batch), BATCH_OK);
        status = sieve_learn(sieve, &batch);
    }
    return status;
}

/* One compaction; what stays. */
static struct shelf sift_with(struct trial *trial, const struct shelf *shelf)
{
    struct sieve *sieve = &trial->sieve;
    struct shelf result = { .end = shelf->end };
    struct random random = random_seeded(1);
    uint8_t secret[OFFSET_MAP_SECRET];
    random_bytes(&random, secret, sizeof(secret));
    *sieve = (struct sieve){ .now_ms = trial->now_ms,
        .delete_retention_ms = KEEP,
        .known_from = trial->from,
        .known_to = trial->from,
        .round_end = trial->round_end < 0 ? shelf->end + 1 : trial->round_end,
        .producers =
            copy_of(trial->producers, trial->producer_count, sizeof(struct sieve_producer)),
        .producer_count = trial->producer_count,
        .aborted = copy_of(trial->aborted, trial->aborted_count, sizeof(struct sieve_aborted)),
        .aborted_count = trial->aborted_count };
    sieve_sort(sieve);
    cr_assert_eq(offset_map_init(&sieve->map, 1000, trial->map_bytes, secret), 0);
    int status = learn(sieve, shelf);
    cr_assert(status == 0 || status == -ENOSPC);
    sieve_rewind(sieve);
    struct bytes run = bytes_of(shelf->bytes.data, shelf->bytes.len);
    while (run.len) {
        struct batch_view batch;
        cr_assert_eq(batch_next(&run, &batch), BATCH_OK);
        cr_assert_eq(sieve_pass(sieve, &batch, &result.bytes), 0);
    }
    trial->from = sieve->known_to;
    sieve_done(sieve);
    return result;
}

static void describe_records(const struct batch_view *batch, struct out *out)
{
    struct compressor compressor;
    struct bytes records;
    struct record_reader reader;
    struct record_view record;
    compressor_init(&compressor);
    cr_assert_eq(batch_records(batch, &compressor, 1 << 20, &records), 0);
    record_reader_init(&reader, batch, records);
    while (record_next(&reader, &record)) {
        if (batch_is_control(batch)) {
            struct control_marker marker;
            cr_assert_eq(control_parse(batch, records, &marker), 0);
            out_printf(out, " %s", marker.type == CONTROL_COMMIT ? "commit" : "abort");
            continue;
        }
        cr_assert_eq(record.timestamp,
            100 + batch->base_offset + (record.offset - batch->base_offset), "its timestamp stays");
        out_printf(out, " %lld:%.*s", (long long)record.offset, (int)record.key.len,
            record.key.data ? (const char *)record.key.data : "");
        if (record.value.data)
            out_printf(out, "=%.*s", (int)record.value.len, (const char *)record.value.data);
    }
    cr_assert_eq(record_reader_end(&reader), 0);
    compressor_done(&compressor);
}

/* "[base-last 0:a=1 2:b]" for each batch; "~n" in front: delete horizon n; "P7/3": producer and
 * sequence. */
static const char *text_of(const struct shelf *shelf, struct out *out)
{
    struct bytes run = bytes_of(shelf->bytes.data, shelf->bytes.len);
    out->len = 0;
    while (run.len) {
        struct batch_view batch;
        cr_assert_eq(batch_next(&run, &batch), BATCH_OK);
        cr_assert_eq(batch_check(&batch), BATCH_OK);
        out_printf(out, "%s[%lld-%lld", out->len ? " " : "", (long long)batch.base_offset,
            (long long)batch_last_offset(&batch));
        if (batch.attributes & BATCH_ATTRIBUTE_DELETE_HORIZON)
            out_printf(out, " ~%lld", (long long)batch.base_timestamp);
        if (batch.producer_id >= 0)
            out_printf(out, " P%lld/%d", (long long)batch.producer_id, batch.base_sequence);
        describe_records(&batch, out);
        out_text(out, "]");
    }
    *out_add(out, 1) = '\0';
    return (const char *)out->data;
}

/* Sifts and says; the shelf is the result then. */
static void sifted(struct trial *trial, struct shelf *shelf, const char *want)
{
    struct out text = { 0 };
    struct shelf result = sift_with(trial, shelf);
    cr_assert_str_eq(text_of(&result, &text), want);
    out_done(&text);
    out_done(&shelf->bytes);
    *shelf = result;
}

TEST(sieve, keeps_the_newest_of_each_key_at_its_offset)
{
    static const enum codec codecs[] = { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4,
        CODEC_ZSTD };
    for (size_t i = 0; i < ARRAY_COUNT(codecs); i++) {
        struct shelf shelf = { 0 };
        struct trial trial = trial_of();
        struct made made = plain;
        made.codec = codecs[i];
        add(&shelf, &made, "a=1 b=1 c=1");
        add(&shelf, &made, "a=2 b=2");
        add(&shelf, &made, "a=3 d=1");
        sifted(&trial, &shelf, "[0-2 2:c=1] [3-4 4:b=2] [5-6 5:a=3 6:d=1]");
        struct batch_view batch;
        cr_assert_eq(batch_parse(bytes_of(shelf.bytes.data, shelf.bytes.len), &batch), BATCH_OK);
        cr_assert_eq(batch_codec(&batch), codecs[i], "written anew in its codec");
        out_done(&shelf.bytes);
    }
}

TEST(sieve, a_batch_without_anything_newer_passes_byte_by_byte)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    add(&shelf, &plain, "a=1 b=1");
    add(&shelf, &plain, "c=1");
    struct shelf result = sift_with(&trial, &shelf);
    cr_assert(bytes_equal(bytes_of(shelf.bytes.data, shelf.bytes.len),
        bytes_of(result.bytes.data, result.bytes.len)));
    out_done(&shelf.bytes);
    out_done(&result.bytes);
}

TEST(sieve, a_batch_with_nothing_left_goes_but_the_last_of_the_round_stays_empty)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    add(&shelf, &plain, "a=1");
    add(&shelf, &plain, "b=1 =nokey");
    add(&shelf, &plain, "=nokey =nokey");
    trial.round_end = 5;
    sifted(&trial, &shelf, "[0-0 0:a=1] [1-2 1:b=1] [3-4]");
    sifted(&trial, &shelf, "[0-0 0:a=1] [1-2 1:b=1] [3-4]");
    trial.round_end = 9;
    sifted(&trial, &shelf, "[0-0 0:a=1] [1-2 1:b=1]");
    out_done(&shelf.bytes);
}

TEST(sieve, a_tombstone_gets_a_horizon_and_falls_after_it)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    add(&shelf, &plain, "a=1 b=1");
    add(&shelf, &plain, "a");
    sifted(&trial, &shelf, "[0-1 1:b=1] [2-2 ~1005000 2:a]");
    trial.from = 0;
    trial.now_ms = NOW + KEEP - 1;
    sifted(&trial, &shelf, "[0-1 1:b=1] [2-2 ~1005000 2:a]"); /* the first horizon counts */
    trial.from = 0;
    trial.now_ms = NOW + KEEP;
    sifted(&trial, &shelf, "[0-1 1:b=1]");
    out_done(&shelf.bytes);
}

TEST(sieve, a_horizon_leaves_the_other_records_of_its_batch)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    struct made made = plain;
    made.codec = CODEC_LZ4;
    add(&shelf, &made, "a b=1 c=");
    sifted(&trial, &shelf, "[0-2 ~1005000 0:a 1:b=1 2:c=]");
    add(&shelf, &made, "b=2");
    trial.now_ms = NOW + 2 * KEEP;
    trial.from = 3;
    sifted(&trial, &shelf, "[0-2 ~1005000 2:c=] [3-3 3:b=2]");
    out_done(&shelf.bytes);
}

TEST(sieve, a_tombstone_hides_what_is_older_and_not_what_is_newer)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    add(&shelf, &plain, "a=1");
    add(&shelf, &plain, "a");
    add(&shelf, &plain, "a=2");
    sifted(&trial, &shelf, "[2-2 2:a=2]");
    out_done(&shelf.bytes);
}

TEST(sieve, from_a_full_map_on_everything_stays_and_the_next_round_goes_on)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    struct out text = { 0 }, keys = { 0 };
    trial.map_bytes = 0; /* OFFSET_MAP_KEYS_MIN keys */
    add(&shelf, &plain, "old=1 k70=0");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++) {
            keys.len = 0;
            out_printf(&keys, "k%d=%d gone%d", i, round, i);
            *out_add(&keys, 1) = '\0';
            add(&shelf, &plain, (const char *)keys.data);
        }
    }
    int rounds = 0;
    while (trial.from < shelf.end) {
        int64_t before = trial.from;
        struct shelf result = sift_with(&trial, &shelf);
        cr_assert_gt(trial.from, before, "each round gets on");
        out_done(&shelf.bytes);
        shelf.bytes = result.bytes;
        rounds++;
    }
    cr_assert_gt(rounds, 4);
    const char *got = text_of(&shelf, &text);
    cr_assert(
        strncmp(got, "[0-1 0:old=1] [202-203 ~1005000 202:k0=1 203:gone0]", 51) == 0, "%s", got);
    cr_assert_null(strstr(got, "=0"), "%s", got);
    out_done(&text);
    out_done(&keys);
    out_done(&shelf.bytes);
}

TEST(sieve, a_tombstone_that_is_not_learnt_yet_gets_no_horizon)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    struct out keys = { 0 }, text = { 0 };
    trial.map_bytes = 0;
    for (int i = 0; i < OFFSET_MAP_KEYS_MIN - 1; i++)
        out_printf(&keys, "k%d=1 ", i);
    keys.data[keys.len - 1] = '\0';
    add(&shelf, &plain, (const char *)keys.data);
    add(&shelf, &plain, "last=1 z"); /* known up to the middle of this batch */
    add(&shelf, &plain, "y");
    struct shelf result = sift_with(&trial, &shelf);
    cr_assert_eq(trial.from, OFFSET_MAP_KEYS_MIN);
    cr_assert_null(strstr(text_of(&result, &text), "~"), "%s", (char *)text.data);
    out_done(&keys);
    out_done(&text);
    out_done(&result.bytes);
    out_done(&shelf.bytes);
}

TEST(sieve, the_last_batch_of_a_live_producer_stays_empty)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    struct made made = { CODEC_ZSTD, 7, 0, 0 };
    add(&shelf, &made, "a=1");
    made.sequence = 1;
    add(&shelf, &made, "a=2 b=2");
    add(&shelf, &plain, "a=3 b=3");
    trial.producers[0] = (struct sieve_producer){ 9, 0, 0 };
    trial.producers[1] = (struct sieve_producer){ 7, 2, 0 };
    trial.producer_count = 2;
    sifted(&trial, &shelf, "[1-2 P7/1] [3-4 3:a=3 4:b=3]");
    struct batch_view batch;
    cr_assert_eq(batch_parse(bytes_of(shelf.bytes.data, shelf.bytes.len), &batch), BATCH_OK);
    cr_assert_eq(batch_last_sequence(&batch), 2);
    cr_assert_eq(batch.count, 0);
    cr_assert_eq(batch.size, BATCH_HEADER_SIZE);
    cr_assert_eq(batch.max_timestamp, 102);
    trial.producer_count = 0; /* it was forgotten */
    sifted(&trial, &shelf, "[3-4 3:a=3 4:b=3]");
    out_done(&shelf.bytes);
}

static const struct made of_7;

TEST(sieve, a_header_that_stays_says_the_same_of_its_transaction)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    struct batch_view batch;
    add(&shelf, &of_7, "a=1");
    add_marker(&shelf, 7, false);
    trial.aborted[0] = (struct sieve_aborted){ 7, 0, 1 };
    trial.aborted_count = 1;
    trial.producers[0] = (struct sieve_producer){ 7, 0, 0 };
    trial.producer_count = 1;
    sifted(&trial, &shelf, "[0-0 P7/0] [1-1 P7/-1 abort]");
    cr_assert_eq(batch_parse(bytes_of(shelf.bytes.data, shelf.bytes.len), &batch), BATCH_OK);
    cr_assert_eq(batch.attributes, BATCH_ATTRIBUTE_TRANSACTIONAL);
    out_done(&shelf.bytes);
}

static const struct made of_7 = { CODEC_NONE, 7, 0, BATCH_ATTRIBUTE_TRANSACTIONAL };
static const struct made of_8 = { CODEC_NONE, 8, 0, BATCH_ATTRIBUTE_TRANSACTIONAL };

TEST(sieve, aborted_data_falls_and_hides_nothing)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    add(&shelf, &plain, "a=1 b=1");
    add(&shelf, &of_7, "a=2");
    add(&shelf, &of_8, "b=2");
    add_marker(&shelf, 7, false);
    add_marker(&shelf, 8, true);
    trial.aborted[0] = (struct sieve_aborted){ 7, 2, 4 };
    trial.aborted_count = 1;
    sifted(&trial, &shelf, "[0-1 0:a=1] [3-3 P8/0 3:b=2] [4-4 P7/-1 abort] [5-5 P8/-1 commit]");
    out_done(&shelf.bytes);
}

TEST(sieve, each_transaction_of_a_producer_is_judged_by_itself)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    add(&shelf, &of_7, "a=1");
    add_marker(&shelf, 7, true);
    add(&shelf, &of_7, "b=1");
    add_marker(&shelf, 7, false);
    add(&shelf, &of_7, "c=1");
    add_marker(&shelf, 7, true);
    trial.aborted[0] = (struct sieve_aborted){ 7, 2, 3 };
    trial.aborted[1] = (struct sieve_aborted){ 6, 0, 9 };
    trial.aborted_count = 2;
    sifted(&trial, &shelf,
        "[0-0 P7/0 0:a=1] [1-1 P7/-1 commit] [3-3 P7/-1 abort] [4-4 P7/0 4:c=1] [5-5 P7/-1 "
        "commit]");
    out_done(&shelf.bytes);
}

TEST(sieve, a_marker_stays_until_its_data_is_gone_and_a_horizon_over)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    add(&shelf, &of_7, "a=1");
    add_marker(&shelf, 7, true);
    add(&shelf, &plain, "a=2");
    sifted(&trial, &shelf, "[1-1 P7/-1 commit] [2-2 2:a=2]"); /* its data was met */
    sifted(&trial, &shelf, "[1-1 ~1005000 P7/-1 commit] [2-2 2:a=2]");
    trial.now_ms = NOW + KEEP - 1;
    sifted(&trial, &shelf, "[1-1 ~1005000 P7/-1 commit] [2-2 2:a=2]");
    trial.now_ms = NOW + KEEP;
    sifted(&trial, &shelf, "[2-2 2:a=2]");
    out_done(&shelf.bytes);
}

TEST(sieve, the_marker_of_a_producer_without_data_stays)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    add_marker(&shelf, 7, true);
    add(&shelf, &plain, "a=2");
    trial.producers[0] = (struct sieve_producer){ 7, -1, 0 };
    trial.producer_count = 1;
    sifted(&trial, &shelf, "[0-0 ~1005000 P7/-1 commit] [1-1 1:a=2]");
    trial.now_ms = NOW + 2 * KEEP;
    sifted(&trial, &shelf, "[0-0 P7/-1] [1-1 1:a=2]"); /* only its header: the epoch */
    trial.producers[0].epoch = 1;                      /* it has a newer one */
    sifted(&trial, &shelf, "[1-1 1:a=2]");
    out_done(&shelf.bytes);
}

TEST(sieve, what_is_clean_is_not_learnt_but_gives_way)
{
    struct shelf shelf = { 0 };
    struct trial trial = trial_of();
    add(&shelf, &plain, "a=1 b=1");
    add(&shelf, &plain, "c=1 a=2");
    trial.from = 2;
    sifted(&trial, &shelf, "[0-1 1:b=1] [2-3 2:c=1 3:a=2]");
    out_done(&shelf.bytes);
}

TEST(sieve, records_that_are_none_are_refused)
{
    struct shelf shelf = { 0 };
    struct batch_view batch;
    struct out out = { 0 };
    struct random random = random_seeded(1);
    uint8_t secret[OFFSET_MAP_SECRET];
    add(&shelf, &plain, "a=1 b=1");
    be_put32(shelf.bytes.data + BATCH_AT_COUNT, 3);
    batch_set_crc(shelf.bytes.data);
    cr_assert_eq(batch_parse(bytes_of(shelf.bytes.data, shelf.bytes.len), &batch), BATCH_OK);
    struct sieve sieve = { .round_end = 9 };
    random_bytes(&random, secret, sizeof(secret));
    cr_assert_eq(offset_map_init(&sieve.map, 10, 1000, secret), 0);
    cr_assert_eq(sieve_learn(&sieve, &batch), -EBADMSG);
    cr_assert_eq(sieve.known_to, 0);
    sieve.known_to = 9;
    cr_assert_eq(sieve_pass(&sieve, &batch, &out), -EBADMSG);
    cr_assert_eq(out.len, 0);
    sieve_done(&sieve);
    out_done(&shelf.bytes);
    out_done(&out);
}
