/* See engine_world.h. */
#include "tests/sim/engine_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "tests/sim/reading.h"

enum { TURNS_MAX = 2000000, SETTINGS_MAX = 16 };

/* A commit of the test's own. */
struct flight {
    struct list link;
    struct unit unit;
    struct engine_world *world;
};

static void flight_end(struct flight *flight);

/* ---- life ------------------------------------------------------------------------------------ */

static void say(void *context, enum log_level level, const char *line)
{
    struct engine_world *world = context;
    static const char letters[] = "EWID";
    out_printf(&world->said, "%c %s\n", letters[level], line);
    if (world->sim.verbose)
        (void)fprintf(stderr, "# %c %s\n", letters[level], line);
}

static void space(void *context)
{
    struct engine_world *world = context;
    if (world->processors)
        processors_space(world->processors);
}

static void wal_failed(void *context, int status, const char *what)
{
    struct engine_world *world = context;
    (void)status;
    (void)what;
    world->failed = true;
}

void engine_begin(struct engine_world *world, uint64_t seed, const mr_module *const *builtins)
{
    *world = (struct engine_world){ 0 };
    list_init(&world->flights);
    sim_init(&world->sim, seed);
    world->sim.doors.say = say;
    world->sim.doors.say_context = world;
    world->storage_config = storage_config_default();
    world->storage_config.dir = "/data";
    world->storage_config.defaults.retention_ms = -1; /* records of tests are from 1970 */
    world->config =
        (struct processors_config){ .dir = "/data", .default_partitions = 4, .builtins = builtins };
    workers_inline_init(&world->workers, &world->sim.work);
}

void engine_open(struct engine_world *world)
{
    struct storage_hooks hooks = { .context = world, .space = space, .failed = wal_failed };
    world->failed = false;
    CHECK(storage_open(&world->storage, &world->storage_config, &world->sim.doors, &hooks) == 0);
    world->processors = processors_create(
        &world->config, &world->sim.doors, world->storage, &world->workers.workers);
    processors_start(world->processors);
}

static void destroy(struct engine_world *world)
{
    processors_destroy(world->processors);
    world->processors = NULL;
    storage_destroy(world->storage);
    world->storage = NULL;
    for (struct list *node; (node = list_first(&world->flights));)
        flight_end(list_entry(node, struct flight, link));
}

void engine_crash(struct engine_world *world, bool power)
{
    if (power)
        sim_power(&world->sim);
    else
        sim_kill(&world->sim);
    destroy(world);
    sim_restart(&world->sim);
    engine_open(world);
}

void engine_end(struct engine_world *world)
{
    sim_kill(&world->sim);
    destroy(world);
    sim_done(&world->sim);
    out_done(&world->said);
}

struct ending {
    bool done;
    int status;
};

static void ended(void *context, int status)
{
    struct ending *ending = context;
    ending->done = true;
    ending->status = status;
}

int engine_stop(struct engine_world *world)
{
    struct ending ending = { 0 }, closing = { 0 };
    processors_stop(world->processors, ended, &ending);
    for (int i = 0; !ending.done && i < TURNS_MAX; i++)
        (void)engine_turn(world);
    CHECK(ending.done);
    storage_close(world->storage, ended, &closing);
    for (int i = 0; !closing.done && i < TURNS_MAX; i++)
        (void)engine_turn(world);
    CHECK(closing.done && closing.status == 0);
    sim_kill(&world->sim);
    destroy(world);
    sim_restart(&world->sim);
    return ending.status;
}

bool engine_turn(struct engine_world *world)
{
    storage_turn(world->storage);
    world->sim.disk.table->flush(&world->sim.disk);
    return sim_step(&world->sim);
}

void engine_pass(struct engine_world *world, int64_t ms)
{
    int64_t until_ns = world->sim.now_ns + ms * CLOCK_NS_PER_MS;
    do {
        storage_turn(world->storage);
        world->sim.disk.table->flush(&world->sim.disk);
    } while (sim_next_ns(&world->sim) <= until_ns && sim_step(&world->sim));
    sim_run_until(&world->sim, until_ns);
}

void engine_settle(struct engine_world *world, const char *name)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        struct engine_info info = engine_info(world, name);
        bool done = strcmp(info.state, "RUNNING") == 0 && info.lag == 0 && world->in_flight == 0;
        if (done || strcmp(info.state, "FAILED") == 0)
            return;
        if (!engine_turn(world))
            break;
    }
    struct engine_info info = engine_info(world, name);
    (void)fprintf(stderr, "'%s' never settles: %s, lag %lld, %zu in flight\n", name, info.state,
        (long long)info.lag, world->in_flight);
    abort();
}

/* ---- topics ---------------------------------------------------------------------------------- */

static void flight_end(struct flight *flight)
{
    flight->world->in_flight--;
    list_remove(&flight->link);
    unit_done(&flight->unit);
    mem_free(flight);
}

static void landed(struct unit *unit)
{
    flight_end(container_of(unit, struct flight, unit));
}

static struct flight *take_off(struct engine_world *world)
{
    struct flight *flight = mem_zalloc(1, sizeof(*flight));
    flight->world = world;
    unit_init(&flight->unit, landed);
    list_append(&world->flights, &flight->link);
    world->in_flight++;
    return flight;
}

static void commit(struct engine_world *world, struct flight *flight)
{
    int r;
    while ((r = log_commit(world->storage, &flight->unit)) == -EAGAIN)
        CHECK(engine_turn(world));
    CHECK(r == 0);
}

static void land(struct engine_world *world)
{
    while (world->in_flight)
        CHECK(engine_turn(world));
}

static struct topic *topic_of(struct engine_world *world, const char *name)
{
    return storage_topic(world->storage, bytes_text(name));
}

void engine_make_topic(struct engine_world *world, const char *name, int32_t partitions)
{
    struct flight *flight = take_off(world);
    struct uuid id = uuid_random(&world->sim.random);
    CHECK(unit_create_topic(
              &flight->unit, world->storage, bytes_text(name), &id, partitions, NULL, 0) == 0);
    commit(world, flight);
    land(world);
}

void engine_add_partitions(struct engine_world *world, const char *name, int32_t partitions)
{
    struct flight *flight = take_off(world);
    CHECK(
        unit_add_partitions(&flight->unit, world->storage, topic_of(world, name), partitions) == 0);
    commit(world, flight);
    land(world);
    processors_topics_changed(world->processors);
}

void engine_delete_topic(struct engine_world *world, const char *name)
{
    struct flight *flight = take_off(world);
    CHECK(unit_delete_topic(&flight->unit, world->storage, topic_of(world, name)) == 0);
    commit(world, flight);
    land(world);
}

int64_t engine_end_offset(struct engine_world *world, const char *topic, int32_t partition)
{
    struct topic *found = topic_of(world, topic);
    return found ? topic_log(found, partition)->end_offset : -1;
}

static struct bytes text_of(const char *text)
{
    return text ? bytes_text(text) : (struct bytes){ NULL, 0 };
}

static void append(
    struct engine_world *world, const char *topic, int32_t partition, struct out *batch)
{
    struct flight *flight = take_off(world);
    unit_append(&flight->unit, topic_log(topic_of(world, topic), partition),
        bytes_of(batch->data, batch->len));
    commit(world, flight);
    out_done(batch);
}

void engine_produce(struct engine_world *world, const char *topic, int32_t partition,
    const struct engine_record *records, size_t count)
{
    struct batch_options options = batch_options_plain(CODEC_NONE);
    engine_produce_as(world, topic, partition, records, count, &options);
}

void engine_mark(struct engine_world *world, const char *topic, int32_t partition, int64_t producer,
    bool commits)
{
    struct out batch = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    options.producer_id = producer;
    options.producer_epoch = 0;
    control_build(&batch, &options, commits, 0, 1);
    append(world, topic, partition, &batch);
}

void engine_produce_as(struct engine_world *world, const char *topic, int32_t partition,
    const struct engine_record *records, size_t count, const struct batch_options *options)
{
    struct batch_builder builder = { 0 };
    struct out batch = { 0 };
    batch_builder_begin(&builder, options);
    for (size_t i = 0; i < count; i++) {
        struct record_view record = { .timestamp = records[i].ts,
            .key = text_of(records[i].key),
            .value = text_of(records[i].value) };
        CHECK(batch_builder_append(&builder, &record) == 0);
    }
    CHECK(batch_builder_finish(&builder, NULL, &batch) == 0);
    append(world, topic, partition, &batch);
    batch_builder_done(&builder);
}

static void text_of_buffer(
    const struct buffer *buffer, const struct log *log, int64_t *offset, struct out *text)
{
    struct bytes run = bytes_of(buffer->data, buffer->len);
    struct batch_view batch;
    while (batch_next(&run, &batch) == BATCH_OK) {
        struct record_reader reader;
        struct record_view record;
        CHECK(batch_check(&batch) == BATCH_OK);
        record_reader_init(&reader, &batch, batch.records);
        while (record_next(&reader, &record)) {
            CHECK(record.offset >= *offset);
            out_printf(text, "%d %lld %lld %.*s=%.*s\n", log->partition, (long long)record.offset,
                (long long)record.timestamp, (int)record.key.len,
                record.key.data ? (const char *)record.key.data : "", (int)record.value.len,
                record.value.data ? (const char *)record.value.data : "");
        }
        *offset = batch_last_offset(&batch) + 1;
    }
}

static bool reading_turn(void *context)
{
    CHECK(engine_turn(context));
    return true;
}

char *engine_text(struct engine_world *world, const char *topic)
{
    struct out text = { 0 };
    struct topic *found = topic_of(world, topic);
    for (int32_t p = 0; found && p < found->log_count; p++) {
        struct log *log = found->logs[p];
        for (int64_t offset = log->start_offset; offset < log->high_watermark;) {
            struct buffer *buffer;
            int status =
                reading_run(world->storage, log, offset, 1 << 20, reading_turn, world, &buffer);
            CHECK(status == 0 && buffer);
            text_of_buffer(buffer, log, &offset, &text);
            buffer_unref(buffer);
        }
    }
    out_bytes(&text, "", 1);
    return (char *)text.data;
}

/* ---- load, unload ---------------------------------------------------------------------------- */

struct loading {
    struct processors_load load;
    bool done;
    int status;
};

static void loaded(struct processors_load *load, int status)
{
    struct loading *loading = container_of(load, struct loading, load);
    loading->done = true;
    loading->status = status;
}

int engine_load(struct engine_world *world, const char *file, const char *name,
    const char *const *settings, char *error)
{
    struct setting given[SETTINGS_MAX];
    char *keys[SETTINGS_MAX];
    struct loading loading = { .load = { .file = file, .name = name, .done = loaded } };
    size_t count = 0;
    for (; settings && settings[count]; count++) {
        const char *equals = strchr(settings[count], '=');
        keys[count] = mem_strndup(settings[count], (size_t)(equals - settings[count]));
        given[count] = (struct setting){ keys[count], equals + 1 };
    }
    loading.load.settings = given;
    loading.load.setting_count = count;
    processors_load(world->processors, &loading.load);
    CHECK(!loading.done);
    for (size_t i = 0; i < count; i++)
        mem_free(keys[i]);
    while (!loading.done)
        CHECK(engine_turn(world));
    if (error)
        (void)snprintf(error, PROCESSORS_ERROR_SIZE, "%s", loading.load.error);
    return loading.status;
}

struct unloading {
    struct processors_unload unload;
    bool done;
    int status;
};

static void unloaded(struct processors_unload *unload, int status)
{
    struct unloading *unloading = container_of(unload, struct unloading, unload);
    unloading->done = true;
    unloading->status = status;
}

int engine_unload(struct engine_world *world, const char *name, bool forget, char *error)
{
    struct unloading unloading = { .unload = { .name = name, .forget = forget, .done = unloaded } };
    processors_unload(world->processors, &unloading.unload);
    CHECK(!unloading.done);
    while (!unloading.done)
        CHECK(engine_turn(world));
    if (error)
        (void)snprintf(error, PROCESSORS_ERROR_SIZE, "%s", unloading.unload.error);
    return unloading.status;
}

/* ---- what there is --------------------------------------------------------------------------- */

struct asking {
    const char *name;
    struct engine_info info;
};

static bool look_at(void *context, const struct processors_info *info)
{
    struct asking *asking = context;
    struct engine_info *to = &asking->info;
    if (strcmp(info->name, asking->name) != 0)
        return true;
    *to = (struct engine_info){ .lag = info->lag,
        .watermark = info->watermark,
        .last_commit_ms = info->last_commit_ms,
        .tasks = info->tasks,
        .records = info->records,
        .emitted = info->emitted,
        .late = info->late,
        .dropped = info->dropped,
        .dead = info->dead,
        .units = info->units };
    (void)snprintf(to->state, sizeof(to->state), "%s", info->state);
    (void)snprintf(to->error, sizeof(to->error), "%s", info->error ? info->error : "");
    for (size_t i = 0; i < info->position_count && i < ARRAY_COUNT(to->positions); i++)
        to->positions[to->position_count++] = info->positions[i].position;
    return false;
}

struct engine_info engine_info(struct engine_world *world, const char *name)
{
    struct asking asking = { .name = name };
    processors_each(world->processors, look_at, &asking);
    return asking.info;
}

bool engine_said(const struct engine_world *world, const char *text)
{
    return world->said.len && memmem(world->said.data, world->said.len, text, strlen(text));
}
