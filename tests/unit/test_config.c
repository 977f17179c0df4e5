/* test_config.c - keys of the broker: sources, types, listeners, what is refused. */
#include "broker/config.h"
#include "protocol/base/mem.h"
#include "tests/test.h"

#include <stdio.h>

static const struct config_place place = { .home = "/home/ada" };

/* A configuration that was read from a properties text; ends in finish(). */
struct reading {
    struct broker_config config;
    struct config_report report;
};

static void start(struct reading *reading)
{
    *reading = (struct reading){ 0 };
    broker_config_init(&reading->config);
}

static void read_text(struct reading *reading, const char *text)
{
    start(reading);
    broker_config_set_properties(&reading->config, "f", bytes_text(text), &reading->report);
    broker_config_finish(&reading->config, &place, &reading->report);
    out_bytes(&reading->report.errors, "", 1);
    out_bytes(&reading->report.warnings, "", 1);
}

static void finish(struct reading *reading)
{
    broker_config_done(&reading->config);
    config_report_done(&reading->report);
}

static const char *errors(const struct reading *reading)
{
    return (const char *)reading->report.errors.data;
}

static const char *warnings(const struct reading *reading)
{
    return (const char *)reading->report.warnings.data;
}

/* The text is refused, with a line that begins (or is) so. */
static void expect_error(const char *text, const char *expected)
{
    struct reading reading;
    read_text(&reading, text);
    cr_assert(strncmp(errors(&reading), expected, strlen(expected)) == 0,
        "for '%s' the error is '%s', not '%s'", text, errors(&reading), expected);
    cr_assert_neq(reading.report.errors.len, 1, "nothing wrong with '%s'", text);
    finish(&reading);
}

static void expect_fine(const char *text)
{
    struct reading reading;
    read_text(&reading, text);
    cr_assert_str_empty(errors(&reading), "for '%s': %s", text, errors(&reading));
    finish(&reading);
}

/* ---- the table ---- */

TEST(config, keys_are_in_order_and_found)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    cr_assert_gt(count, 400);
    for (size_t i = 0; i < count; i++) {
        cr_assert(i == 0 || strcmp(keys[i - 1].name, keys[i].name) < 0, "%s", keys[i].name);
        cr_assert_eq(config_key_find(bytes_text(keys[i].name)), &keys[i]);
        cr_assert(keys[i].doc && strlen(keys[i].doc) > 10, "%s", keys[i].name);
    }
    cr_assert_null(config_key_find(bytes_text("no.such.key")));
    cr_assert_null(config_key_find(bytes_text("listener")));
    cr_assert_null(config_key_find(bytes_of("", 0)));
}

/* Each default is a value of its key, so nobody's server.properties of defaults is refused. */
TEST(config, every_default_is_taken)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        struct reading reading;
        start(&reading);
        if (keys[i].default_text)
            broker_config_set(&reading.config, CONFIG_FROM_FILE, "f:1", bytes_text(keys[i].name),
                bytes_text(keys[i].default_text), &reading.report);
        cr_assert_eq(reading.report.errors.len, 0, "%s: %.*s", keys[i].name,
            (int)reading.report.errors.len, (const char *)reading.report.errors.data);
        finish(&reading);
    }
}

TEST(config, every_number_has_a_range_that_holds)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        const struct config_key *key = &keys[i];
        struct out why = { 0 };
        char text[40];
        struct reading reading;
        if (key->topic_key || (key->type != CONFIG_INT && key->type != CONFIG_LONG) ||
            key->max == INT64_MAX)
            continue;
        start(&reading);
        (void)snprintf(text, sizeof(text), "%lld", (long long)key->max + 1);
        broker_config_set(&reading.config, CONFIG_FROM_FILE, "f:1", bytes_text(key->name),
            bytes_text(text), &reading.report);
        cr_assert_gt(reading.report.errors.len, 0, "%s=%s was taken", key->name, text);
        finish(&reading);
        out_done(&why);
    }
}

/* A topic's key with a default on the broker has its row here, under the same name. */
TEST(config, topic_defaults_have_their_keys)
{
    size_t count;
    const struct topic_config_key *topic_keys = topic_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (!topic_keys[i].broker_name)
            continue;
        const struct config_key *key = config_key_find(bytes_text(topic_keys[i].broker_name));
        cr_assert_not_null(key, "%s", topic_keys[i].broker_name);
        cr_assert_not_null(key->topic_key, "%s", key->name);
        cr_assert_str_eq(key->topic_key, topic_keys[i].name);
    }
}

/* ---- values ---- */

TEST(config, defaults)
{
    struct reading reading;
    read_text(&reading, "");
    const struct broker_config *config = &reading.config;
    cr_assert_str_empty(errors(&reading), "%s", errors(&reading));
    cr_assert_str_empty(warnings(&reading), "%s", warnings(&reading));
    cr_assert_eq(config->node_id, 1);
    cr_assert_eq(config->num_partitions, 1);
    cr_assert(config->auto_create_topics);
    cr_assert_str_eq(config->log_dir, "/home/ada/.local/share/millrace");
    cr_assert_eq(config->listener_count, 1);
    cr_assert_str_eq(config->listeners[0].name, "PLAINTEXT");
    cr_assert_str_eq(config->listeners[0].host, "127.0.0.1");
    cr_assert_eq(config->listeners[0].port, 9092);
    cr_assert_str_eq(config->listeners[0].advertised_host, "127.0.0.1");
    cr_assert_eq(config->memory_limit, 256 << 20);
    cr_assert_eq(config->frames_bytes_max, 32 << 20);
    cr_assert_eq(config->socket_request_max_bytes, 32 << 20);
    cr_assert_eq(config->topic_defaults.retention_ms, INT64_C(604800000));
    finish(&reading);
}

TEST(config, root_has_its_data_in_var)
{
    char *dir = config_default_dir("/root", true);
    cr_assert_str_eq(dir, "/var/lib/millrace");
    mem_free(dir);
    dir = config_default_dir(NULL, false);
    cr_assert_str_eq(dir, "/var/lib/millrace");
    mem_free(dir);
}

TEST(config, values_and_units)
{
    struct reading reading;
    read_text(&reading, "num.partitions=12\nauto.create.topics.enable=FALSE\nnode.id= 7 \n"
                        "log.segment.bytes=64MiB\nconnections.max.idle.ms=5min\n"
                        "memory.limit=1GiB\nlog.dirs=/data/one\nbroker.rack=r1\n"
                        "group.initial.rebalance.delay.ms=0\ndisk=PLAIN\n");
    const struct broker_config *config = &reading.config;
    cr_assert_str_empty(errors(&reading), "%s", errors(&reading));
    cr_assert_eq(config->num_partitions, 12);
    cr_assert_not(config->auto_create_topics);
    cr_assert_eq(config->node_id, 7);
    cr_assert_eq(config->topic_defaults.segment_bytes, 64 << 20);
    cr_assert_eq(config->connections_max_idle_ms, 300000);
    cr_assert_eq(config->memory_limit, 1 << 30);
    cr_assert_str_eq(config->log_dir, "/data/one");
    cr_assert_str_eq(config->rack, "r1");
    cr_assert_eq(config->disk, DISK_CHOICE_PLAIN);
    finish(&reading);
}

TEST(config, the_value_in_force_is_told)
{
    enum config_source source;
    struct reading reading;
    read_text(&reading, "log.segment.bytes=1GiB\nlog.dir=/data/one\nssl.key.password=secret\n");
    const struct broker_config *config = &reading.config;
    const struct config_key *key = config_key_find(bytes_text("log.segment.bytes"));
    cr_assert_str_eq(broker_config_value(config, key, &source), "1073741824");
    cr_assert_eq(source, CONFIG_FROM_FILE);
    key = config_key_find(bytes_text("num.partitions"));
    cr_assert_str_eq(broker_config_value(config, key, &source), "1");
    cr_assert_eq(source, CONFIG_FROM_DEFAULT);
    key = config_key_find(bytes_text("log.dirs"));
    cr_assert_str_eq(broker_config_value(config, key, &source), "/data/one");
    key = config_key_find(bytes_text("broker.rack"));
    cr_assert_null(broker_config_value(config, key, &source));
    key = config_key_find(bytes_text("ssl.key.password"));
    cr_assert(config_key_sensitive(key));
    finish(&reading);
}

TEST(config, wrong_values)
{
    expect_error("num.partitions=0", "f:1: num.partitions=0: not a whole number from 1 to 100000");
    expect_error("num.partitions=x", "f:1: num.partitions=x: not a whole number");
    expect_error("\nnum.partitions=", "f:2: num.partitions=: not a whole number");
    expect_error("num.partitions=1 2", "f:1: num.partitions=1 2: not");
    expect_error("num.partitions=99999999999999999999", "f:1: num.partitions=");
    expect_error("log.segment.bytes=1QiB", "f:1: log.segment.bytes=1QiB: not a whole number");
    expect_error("connections.max.idle.ms=1fortnight", "f:1: connections.max.idle.ms=");
    expect_error("memory.limit=99999999999GiB", "f:1: memory.limit=");
    expect_error(
        "auto.create.topics.enable=yes", "f:1: auto.create.topics.enable=yes: not true or");
    expect_error("disk=tape", "f:1: disk=tape: not one of auto, io_uring, plain");
    expect_error("log.cleanup.policy=shred", "f:1: log.cleanup.policy=shred: ");
    expect_error("wal.file.bytes=3000000", "f:1: wal.file.bytes=3000000: not a power of two");
    expect_error("log.dirs=,", "f:1: log.dirs=,: a directory is wanted");
    expect_error("a=\\u12", "f:1: a broken \\u escape, or a NUL");
}

TEST(config, groups_of_consumers_have_bounds_and_assignors_that_are_there)
{
    expect_error("group.consumer.session.timeout.ms=1000",
        "f:1: group.consumer.session.timeout.ms=1000: must be greater than or equal to "
        "group.consumer.min.session.timeout.ms");
    expect_error("group.consumer.heartbeat.interval.ms=20000",
        "f:1: group.consumer.heartbeat.interval.ms=20000: must be less than or equal to "
        "group.consumer.max.heartbeat.interval.ms");
    expect_error("group.consumer.assignment.interval.ms=20000",
        "f:1: group.consumer.assignment.interval.ms=20000: must be less than or equal to "
        "group.consumer.max.assignment.interval.ms");
    expect_error("group.consumer.min.session.timeout.ms=1\n"
                 "group.consumer.session.timeout.ms=5000\n",
        "default: group.consumer.heartbeat.interval.ms=5000: must be less than "
        "group.consumer.session.timeout.ms");
    expect_error("group.share.max.share.sessions=199",
        "f:1: group.share.max.share.sessions=199: must be greater than or equal to "
        "group.share.max.size");
    expect_error("group.consumer.assignors=uniform,sticky",
        "f:1: group.consumer.assignors=uniform,sticky: there is no assignor sticky, only uniform "
        "and range");
    expect_error("group.consumer.migration.policy=sideways",
        "f:1: group.consumer.migration.policy=sideways: not one of");
}

TEST(config, a_secret_is_not_told)
{
    struct reading reading;
    read_text(&reading, "sasl.jaas.config=hush\nssl.keystore.password=hush\n");
    cr_assert(strstr(warnings(&reading), "sasl.jaas.config"));
    cr_assert(!strstr(warnings(&reading), "hush") && !strstr(errors(&reading), "hush"));
    finish(&reading);
}

TEST(config, all_errors_are_told)
{
    struct reading reading;
    read_text(&reading, "num.partitions=0\nfoo=1\ndisk=tape\n");
    cr_assert(strstr(errors(&reading), "f:1:") && strstr(errors(&reading), "f:2:") &&
              strstr(errors(&reading), "f:3:"));
    finish(&reading);
}

TEST(config, unknown_keys)
{
    expect_error("num.partition=3",
        "f:1: nobody knows the key 'num.partition'; did you mean num.partitions?\n");
    expect_error("auto.create.topic.enable=true",
        "f:1: nobody knows the key 'auto.create.topic.enable'; did you mean "
        "auto.create.topics.enable?\n");
    expect_error("qwertyuiop=1", "f:1: nobody knows the key 'qwertyuiop' (");
    expect_error("=1", "f:1: nobody knows the key ''");
    expect_fine("log4j.rootLogger=INFO\nconfluent.metrics.reporter.x=1\nrsm.config.x=1\n");
}

/* ---- order of keys and sources ---- */

TEST(config, finer_keys_win_over_coarser)
{
    struct reading reading;
    read_text(&reading, "log.retention.hours=2\n");
    cr_assert_eq(reading.config.topic_defaults.retention_ms, 2 * 3600000);
    finish(&reading);
    read_text(&reading, "log.retention.minutes=3\nlog.retention.hours=2\n");
    cr_assert_eq(reading.config.topic_defaults.retention_ms, 3 * 60000);
    finish(&reading);
    read_text(&reading, "log.retention.ms=4\nlog.retention.minutes=3\nlog.retention.hours=2\n");
    cr_assert_eq(reading.config.topic_defaults.retention_ms, 4);
    finish(&reading);
    read_text(&reading, "log.retention.hours=-1\nlog.roll.hours=1\n");
    cr_assert_eq(reading.config.topic_defaults.retention_ms, -1);
    cr_assert_eq(reading.config.topic_defaults.segment_ms, 3600000);
    finish(&reading);
}

TEST(config, sources_in_order)
{
    const char *const environment[] = { "PATH=/bin", "KAFKA_NUM_PARTITIONS=2",
        "KAFKA_BROKER_RACK=env", "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=A:PLAINTEXT",
        "KAFKA_OPTS=-Xmx1G", "KAFKA_HEAP_OPTS=-Xmx1G", "KAFKA_JVM_PERFORMANCE_OPTS=x",
        "KAFKA_LOG4J_LOGGERS=x", "KAFKA_SERVICE_HOST=10.0.0.1",
        "KAFKA_PORT_9092_TCP=tcp://10.0.0.1:9092", NULL };
    struct reading reading;
    start(&reading);
    struct broker_config *config = &reading.config;
    broker_config_set_properties(config, "f",
        bytes_text("num.partitions=1\nbroker.rack=file\nnode.id=3\n"), &reading.report);
    broker_config_set_environment(config, environment, &reading.report);
    broker_config_set_option(config, "broker.rack=option", &reading.report);
    broker_config_set_option(config, "listeners=A://localhost:0", &reading.report);
    broker_config_finish(config, &place, &reading.report);
    cr_assert_eq(reading.report.errors.len, 0, "%.*s", (int)reading.report.errors.len,
        (const char *)reading.report.errors.data);
    cr_assert_eq(config->node_id, 3);
    cr_assert_eq(config->num_partitions, 2);
    cr_assert_eq(reading.report.warnings.len, 0, "%.*s", (int)reading.report.warnings.len,
        (const char *)reading.report.warnings.data);
    cr_assert_str_eq(config->rack, "option");
    cr_assert_str_eq(config->listeners[0].name, "A");
    finish(&reading);
}

/* As Kafka's image: ___ is a dash, __ an underscore, _ a dot. A foreign name is no reason to stop,
 * a mistyped one is. */
TEST(config, names_in_the_environment)
{
    const char *const strange[] = { "KAFKA_CONFLUENT_A___B__C_D=1", "KAFKA_BROKERS_OF_MY_APP=x",
        "KAFKA_MESSAGE_MAX_BYTES_APP=1", NULL };
    const char *const typo[] = { "KAFKA_NUM_PARTITION=1", NULL };
    struct reading reading;
    start(&reading);
    broker_config_set_environment(&reading.config, strange, &reading.report);
    cr_assert_eq(reading.report.errors.len, 0);
    broker_config_finish(&reading.config, &place, &reading.report);
    out_bytes(&reading.report.warnings, "", 1);
    cr_assert(strstr(warnings(&reading), "KAFKA_BROKERS_OF_MY_APP"));
    cr_assert(strstr(warnings(&reading), "confluent.a-b_c.d"), "%s", warnings(&reading));
    finish(&reading);
    start(&reading);
    broker_config_set_environment(&reading.config, typo, &reading.report);
    cr_assert_gt(reading.report.errors.len, 0);
    finish(&reading);
}

TEST(config, options)
{
    static const char *const wrong[] = { "num.partitions", "=1", "" };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct reading reading;
        start(&reading);
        broker_config_set_option(&reading.config, wrong[i], &reading.report);
        cr_assert_gt(reading.report.errors.len, 0, "%s", wrong[i]);
        finish(&reading);
    }
}

/* ---- what is not obeyed ---- */

TEST(config, without_effect_is_named_once)
{
    struct reading reading;
    read_text(&reading, "num.network.threads=3\nnum.io.threads=8\nnum.partitions=2\n"
                        "log4j.logger=x\n");
    cr_assert_str_eq(warnings(&reading),
        "without effect here: num.io.threads, num.network.threads, log4j.logger\n");
    finish(&reading);
}

TEST(config, refused_where_ignoring_weakens_security)
{
    expect_error("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "f:1: authorizer.class.name=");
    expect_error("ssl.client.auth=required", "f:1: ssl.client.auth=required: refused");
    expect_error(
        "create.topic.policy.class.name=my.Policy", "f:1: create.topic.policy.class.name=");
    expect_error("config.providers=file", "f:1: config.providers=file: refused");
    expect_error("listener.name.a.ssl.client.auth=required", "f:1: ssl.client.auth=required");
    expect_fine("ssl.client.auth=none\nauthorizer.class.name=\n");
}

/* ---- listeners ---- */

TEST(config, several_listeners)
{
    struct reading reading;
    read_text(&reading,
        "listeners=PLAINTEXT://127.0.0.1:9092, inside://:9093,SIX://[::1]:9094,Q://::1:9095\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT,SIX:plaintext,"
        "Q:PLAINTEXT\n"
        "advertised.listeners=PLAINTEXT://broker.example:19092,INSIDE://:29093\n"
        "listener.name.inside.max.connections=5\n");
    const struct listener_config *listeners = reading.config.listeners;
    cr_assert_str_empty(errors(&reading), "%s", errors(&reading));
    cr_assert_str_empty(warnings(&reading), "%s", warnings(&reading));
    cr_assert_eq(reading.config.listener_count, 4);
    cr_assert_str_eq(listeners[0].advertised_host, "broker.example");
    cr_assert_eq(listeners[0].advertised_port, 19092);
    cr_assert_str_eq(listeners[1].name, "INSIDE");
    cr_assert_str_eq(listeners[1].host, "");
    cr_assert_null(listeners[1].advertised_host);
    cr_assert_eq(listeners[1].advertised_port, 29093);
    cr_assert_eq(listeners[1].connections_max, 5);
    cr_assert_str_eq(listeners[2].host, "::1");
    cr_assert_str_eq(listeners[2].advertised_host, "::1");
    cr_assert_eq(listeners[2].connections_max, INT32_MAX);
    cr_assert_str_eq(listeners[3].host, "::1");
    cr_assert_eq(listeners[3].port, 9095);
    finish(&reading);
}

TEST(config, every_address_is_never_advertised)
{
    struct reading reading;
    read_text(&reading, "listeners=PLAINTEXT://0.0.0.0:9092\n");
    cr_assert_null(reading.config.listeners[0].advertised_host);
    finish(&reading);
    expect_error("advertised.listeners=PLAINTEXT://0.0.0.0:9092", "f:1: advertised.listeners=");
    expect_error("advertised.listeners=PLAINTEXT://[::]:9092", "f:1: advertised.listeners=");
}

TEST(config, wrong_listeners)
{
    expect_error("listeners=", "f:1: listeners=: no listener for clients");
    expect_error("listeners=127.0.0.1:9092", "f:1: listeners=");
    expect_error("listeners=PLAINTEXT://h", "f:1: listeners=");
    expect_error("listeners=PLAINTEXT://h:65536", "f:1: listeners=");
    expect_error("listeners=PLAINTEXT://h:-1", "f:1: listeners=");
    expect_error("listeners=PLAINTEXT://h/x:1", "f:1: listeners=");
    expect_error("listeners=://h:1", "f:1: listeners=");
    expect_error("listeners=PLAINTEXT://h:1,plaintext://h:2", "f:1: listeners=");
    expect_error(
        "listeners=A://h:1,B://h:1\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
        "f:1: listeners=");
    expect_error(
        "listeners=MINE://h:1", "f:1: listeners=MINE://h:1: listener.security.protocol.map");
    expect_error("listener.security.protocol.map=A:TLS", "f:1: listener.security.protocol.map=");
    expect_error("listeners=SSL://h:1", "f:1: listeners=SSL://h:1: SSL wants SSL");
    expect_error("listeners=A://h:1\nlistener.security.protocol.map=A:SASL_SSL", "f:1: listeners=");
    expect_error("advertised.listeners=OTHER://h:1", "f:1: advertised.listeners=");
    expect_error("max.connections.per.ip.overrides=h", "f:1: max.connections.per.ip.overrides=h");
}

/* The server.properties that comes with Kafka 4.3, and one with TLS for the controller only. */
TEST(config, files_of_kafka)
{
    struct reading reading;
    read_text(&reading,
        "process.roles=broker,controller\nnode.id=1\n"
        "controller.quorum.bootstrap.servers=localhost:9093\n"
        "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n"
        "advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"
        "controller.listener.names=CONTROLLER\n"
        "listener.security.protocol.map=CONTROLLER:SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,"
        "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n"
        "num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\n"
        "socket.receive.buffer.bytes=102400\nsocket.request.max.bytes=104857600\n"
        "log.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\n"
        "num.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n"
        "share.coordinator.state.topic.replication.factor=1\n"
        "share.coordinator.state.topic.min.isr=1\n"
        "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
        "#log.flush.interval.messages=10000\nlog.retention.hours=168\n"
        "log.segment.bytes=1073741824\nlog.retention.check.interval.ms=300000\n");
    cr_assert_str_empty(errors(&reading), "%s", errors(&reading));
    cr_assert_eq(reading.config.listener_count, 1);
    cr_assert_str_eq(reading.config.listeners[0].advertised_host, "localhost");
    cr_assert(strstr(warnings(&reading), "controller.quorum.bootstrap.servers"));
    finish(&reading);
}

TEST(config, a_controllers_file_is_refused)
{
    expect_error("process.roles=controller\nlisteners=C://:1\ncontroller.listener.names=C",
        "f:1: process.roles=controller");
    expect_error("process.roles=baker", "f:1: process.roles=baker");
    expect_error("node.id=1\nbroker.id=2", "f:2: broker.id=2: node.id is 1");
    expect_fine("broker.id=2");
}

TEST(config, first_of_several_directories)
{
    struct reading reading;
    read_text(&reading, "log.dirs=/a, /b,/c\nlog.dir=/d\n");
    cr_assert_str_eq(reading.config.log_dir, "/a");
    cr_assert(strstr(warnings(&reading), "only the first of 3 directories"));
    finish(&reading);
}

TEST(config, shares_of_memory)
{
    struct broker_config config;
    struct config_report report = { 0 };
    struct config_place small = { .home = "/h", .memory_available = 300 << 20 };
    broker_config_init(&config);
    broker_config_finish(&config, &small, &report);
    cr_assert_eq(config.memory_limit, 150 << 20);
    broker_config_done(&config);
    small.memory_available = 10 << 20;
    broker_config_init(&config);
    broker_config_finish(&config, &small, &report);
    cr_assert_eq(config.memory_limit, 64 << 20);
    broker_config_done(&config);
    config_report_done(&report);
}

TEST(config, what_may_change_at_run_time_is_a_number_a_switch_or_a_topics_default)
{
    size_t count, dynamic = 0;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        dynamic += config_key_dynamic(&keys[i]);
        cr_assert(!keys[i].topic_key || config_key_dynamic(&keys[i]), "%s", keys[i].name);
    }
    /* A name that is misspelt in the list of those that are not topics' would be missing. */
    cr_assert_eq(dynamic, 34 + 29, "%zu", dynamic);
}

TEST(config, the_cleaners_keys)
{
    struct reading reading;
    read_text(&reading, "log.cleaner.enable=false\nlog.cleaner.backoff.ms=7\n"
                        "log.cleaner.dedupe.buffer.size=1000000\n"
                        "log.cleaner.io.max.bytes.per.second=1.5e6\n");
    cr_assert_str_eq(errors(&reading), "");
    cr_assert_str_eq(warnings(&reading), "");
    cr_assert_not(reading.config.cleaner_enable);
    cr_assert_eq(reading.config.cleaner_backoff_ms, 7);
    cr_assert_eq(reading.config.cleaner_dedupe_bytes, 1000000);
    cr_assert_float_eq(reading.config.cleaner_bytes_per_second, 1.5e6, 0.1);
    finish(&reading);
    expect_error("log.cleaner.io.max.bytes.per.second=fast",
        "f:1: log.cleaner.io.max.bytes.per.second=fast");
}
