/*
 * control.h - local control: HTTP/1.1 with JSON on the Unix socket DIR/control.sock (0600).
 *
 *     GET    /v1/status            the broker in numbers
 *     GET    /v1/processors        {"processors": [...]}
 *     POST   /v1/processors        {"file", "name"?, "config"?: {key: text}} → 201 {"name"}
 *     DELETE /v1/processors/NAME   → 200 {"name"}; ?forget=true: its state as well
 *
 * Errors are {"error": text} with a 4xx or 5xx. One request per connection. Limits: CONTROL_*;
 * who is slower than CONTROL_TIMEOUT_MS is closed.
 */
#ifndef BROKER_CONTROL_H
#define BROKER_CONTROL_H

#include <jansson.h>
#include <uv.h>

#include "broker/broker.h"
#include "broker/listener.h"

enum {
    CONTROL_CLIENTS_MAX = 32,
    CONTROL_HEAD_MAX = 16 * 1024,
    CONTROL_BODY_MAX = 256 * 1024,
    CONTROL_TIMEOUT_MS = 10000, /* to bring a request, and to take an answer */
};

struct control {
    uv_pipe_t pipe;
    bool opened; /* the handle is */
    struct broker *broker;
    const struct listeners *listeners;
    uv_loop_t *loop;
    char *path;
    int64_t started_ns;
    struct list clients;
    uint32_t client_count;
};

/* Under the lock of the data directory: a socket that lies there is stale and is removed. What
 * fails is said, and the broker runs without. */
void control_open(struct control *control, uv_loop_t *loop, struct broker *broker,
    const struct listeners *listeners);
/* Removes the socket and closes every client; memory goes when the loop has run. */
void control_close(struct control *control);
/* After the loop has ended. Accepts a zeroed one. */
void control_done(struct control *control);

/* ---- control_api.c: what the paths mean ---- */

struct control_request {
    const char *method, *path; /* "GET", "/v1/status"; decoded */
    bool forget;               /* ?forget=true */
    const json_t *body;        /* NULL: none */
    /* Called once, now or later, with an HTTP status; takes over `answer`. */
    void (*answer)(struct control_request *request, int status, json_t *answer);
};

void control_handle(struct control *control, struct control_request *request);
/* {"error": text} */
json_t *control_error(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
