/*
 * session.h - one librdkafka client for the time of one command.
 *
 * librdkafka's log lines stay quiet unless asked for (--verbose, or -X debug=...); what it says
 * about connections is kept and told when a broker could not be reached.
 */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include <jansson.h>
#include <librdkafka/rdkafka.h>

#include "tools/command.h"

/* What every client command takes; the first member of its settings. */
struct common {
    struct settings settings;
    const char *bootstrap;
    struct texts properties; /* "key=value" for librdkafka */
    int64_t timeout_s;
    bool json, verbose;
};

extern const struct option common_options[];

enum { TROUBLE_SIZE = 256 };

struct session {
    const struct common *common;
    rd_kafka_t *rk;
    char trouble[TROUBLE_SIZE]; /* why a connection failed, in librdkafka's words; or empty */
    bool authentication_failed;
};

/* A configuration with the common settings in it; commands add their own, session_open adds -X. */
rd_kafka_conf_t *session_conf(struct session *session, const struct common *common) MUST_CHECK;
/* Set one key; EXIT_DONE, or EXIT_USAGE after telling. */
int session_set(const struct common *common, rd_kafka_conf_t *conf, const char *key,
    const char *value) MUST_CHECK;
/* Takes `conf`, also on failure. EXIT_DONE or an exit code after telling why. */
int session_open(struct session *session, rd_kafka_type_t type, rd_kafka_conf_t *conf) MUST_CHECK;
/* session_conf and session_open for commands that only ask. A consumer, since librdkafka's
 * producers let the broker create each topic that they ask for. */
int session_start(struct session *session, const struct common *common) MUST_CHECK;
/* Accepts a session that was never opened. */
void session_close(struct session *session);

int session_timeout_ms(const struct session *session);

/* Ask for metadata: of `topic`, or of everything when NULL. The first answer shows that a broker is
 * there: EXIT_UNREACHABLE, told, when none comes in time. The caller destroys *ret. */
int session_metadata(
    struct session *session, const char *topic, const struct rd_kafka_metadata **ret) MUST_CHECK;
/* As above for one topic that must exist: EXIT_FAILED, told, when it does not (or its leaders are
 * unknown until the time is up). `create`: ask so that a broker with auto.create.topics.enable
 * makes it. */
int session_topic(struct session *session, const char *topic, bool create,
    const struct rd_kafka_metadata **ret) MUST_CHECK;

/* Tell that `what` failed, with librdkafka's or the broker's reason; gives the exit code that fits.
 */
int session_failed(
    struct session *session, const char *what, rd_kafka_resp_err_t error, const char *text);

/* Wait for the result of one admin request on `queue`: EXIT_DONE with the event (the caller
 * destroys it), or the exit code after telling that `what` failed. */
int session_await(struct session *session, rd_kafka_queue_t *queue, const char *what,
    rd_kafka_event_t **ret) MUST_CHECK;
/* Options for an admin request with the session's time limit. The caller destroys them. */
rd_kafka_AdminOptions_t *session_admin_options(
    struct session *session, rd_kafka_admin_op_t op) MUST_CHECK;

/* First and next offset of one partition; EXIT_DONE or told. */
int session_range(struct session *session, const char *topic, int32_t partition, int64_t *ret_low,
    int64_t *ret_high) MUST_CHECK;

/* Print `value` on stdout as one line (or indented for people); takes the reference. */
void print_json(json_t *value);

#endif
