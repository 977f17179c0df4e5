/*
 * control.h - one request to the running broker over its Unix socket (HTTP/1.1, JSON).
 */
#ifndef TOOLS_CONTROL_H
#define TOOLS_CONTROL_H

#include <jansson.h>
#include <stdint.h>

#include "protocol/base/check.h"

enum {
    CONTROL_ERROR_SIZE = 512,
    CONTROL_ANSWER_MAX = 64 << 20, /* bytes of an answer's body */
};

struct control {
    const char *socket; /* path */
    int64_t timeout_s;  /* of each wait: to connect, to send, for the next bytes of the answer */
    char error[CONTROL_ERROR_SIZE]; /* after a failure: what, where, why */
};

/* The socket's path: `given`, else MILLRACE_SOCKET, else control.sock in the default data directory
 * (/var/lib/millrace for root, ~/.local/share/millrace for others). Free with mem_free. */
char *control_socket_path(const char *given);

/* Send `body` (may be NULL; taken) with `method` to `path`. EXIT_DONE with the JSON of a 2xx answer
 * in *ret (the caller's reference); EXIT_FAILED when the broker refused or answered nonsense,
 * EXIT_UNREACHABLE when nobody answered: the reason is in control->error. */
int control_request(struct control *control, const char *method, const char *path, json_t *body,
    json_t **ret) MUST_CHECK;

/* `text` fit to be one segment of a path: what is not [A-Za-z0-9._~-] as %XX. Free with mem_free.
 */
char *control_segment(const char *text);

#endif
