/*
 * control.c - connect, write the request, read until the parser has seen the whole answer.
 *
 * One connection per request, blocking with a time limit on every wait. Errors of the broker are
 * JSON
 * {"error": text} with a 4xx or 5xx status; the text is passed on as it is.
 */
#include "tools/control.h"

#include <errno.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol/base/bytes.h"
#include "protocol/base/mem.h"
#include "tools/command.h"

enum { READ_SIZE = 16 * 1024 };

static char *default_directory(void)
{
    const char *home = getenv("HOME");

    if (geteuid() == 0 || !home)
        return mem_strdup("/var/lib/millrace");
    return mem_printf("%s/.local/share/millrace", home);
}

char *control_socket_path(const char *given)
{
    const char *from_environment = getenv("MILLRACE_SOCKET");

    if (given)
        return mem_strdup(given);
    if (from_environment && *from_environment)
        return mem_strdup(from_environment);
    char *directory = default_directory();
    char *path = mem_printf("%s/control.sock", directory);
    mem_free(directory);
    return path;
}

char *control_segment(const char *text)
{
    struct out out = { 0 };

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("._~-", c);
        if (plain)
            out_bytes(&out, &c, 1);
        else
            out_printf(&out, "%%%02X", c);
    }
    out_bytes(&out, "", 1);
    return (char *)out.data;
}

/* ---- the connection ------------------------------------------------------------------------- */

static int unreachable(struct control *control, int error)
{
    const char *hint = error == ENOENT || error == ECONNREFUSED
                           ? "; is `millrace serve` running? (--socket PATH or MILLRACE_SOCKET "
                             "names another socket)"
                           : "";

    (void)snprintf(control->error, sizeof(control->error), "no broker answers at %s: %s%s",
        control->socket, error == EAGAIN ? "time is up" : strerror(error), hint);
    return EXIT_UNREACHABLE;
}

static int connect_to(struct control *control, int *ret_fd)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval limit = { .tv_sec = control->timeout_s };

    if (strlen(control->socket) >= sizeof(address.sun_path)) {
        (void)snprintf(control->error, sizeof(control->error),
            "the path %s is longer than a Unix socket's may be (%zu bytes)", control->socket,
            sizeof(address.sun_path) - 1);
        return EXIT_FAILED;
    }
    memcpy(address.sun_path, control->socket, strlen(control->socket) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return unreachable(control, errno);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = errno;
        (void)close(fd);
        return unreachable(control, error);
    }
    *ret_fd = fd;
    return EXIT_DONE;
}

static int send_all(struct control *control, int fd, const struct out *request)
{
    size_t sent = 0;

    while (sent < request->len) {
        ssize_t n = send(fd, request->data + sent, request->len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return unreachable(control, errno);
        sent += n > 0 ? (size_t)n : 0;
    }
    return EXIT_DONE;
}

/* ---- the answer ----------------------------------------------------------------------------- */

struct answer {
    struct out body;
    bool complete, too_large;
};

static int answer_body(http_parser *parser, const char *at, size_t len)
{
    struct answer *answer = parser->data;

    answer->too_large = answer->body.len + len > CONTROL_ANSWER_MAX;
    if (answer->too_large)
        return 1;
    out_bytes(&answer->body, at, len);
    return 0;
}

static int answer_complete(http_parser *parser)
{
    ((struct answer *)parser->data)->complete = true;
    return 0;
}

static int nonsense(struct control *control, const char *what)
{
    (void)snprintf(
        control->error, sizeof(control->error), "what answers at %s: %s", control->socket, what);
    return EXIT_FAILED;
}

static int read_answer(struct control *control, int fd, http_parser *parser, struct answer *answer)
{
    http_parser_settings settings;
    char data[READ_SIZE];

    http_parser_settings_init(&settings);
    settings.on_body = answer_body;
    settings.on_message_complete = answer_complete;
    http_parser_init(parser, HTTP_RESPONSE);
    parser->data = answer;
    while (!answer->complete) {
        ssize_t n = recv(fd, data, sizeof(data), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return unreachable(control, errno);
        size_t parsed = http_parser_execute(parser, &settings, data, (size_t)n);
        if (answer->too_large)
            return nonsense(control, "the answer is larger than 64 MiB");
        if (n == 0 && !answer->complete)
            return nonsense(control, "the connection was closed before the answer was whole");
        if (parser->http_errno != HPE_OK || parsed != (size_t)n)
            return nonsense(control, "that is no HTTP; is it Millrace's control socket?");
    }
    return EXIT_DONE;
}

static int judge(
    struct control *control, const http_parser *parser, const struct answer *answer, json_t **ret)
{
    json_error_t problem;
    json_t *root = json_loadb((const char *)answer->body.data, answer->body.len, 0, &problem);
    bool fine = parser->status_code >= 200 && parser->status_code < 300;

    if (fine && root) {
        *ret = root;
        return EXIT_DONE;
    }
    const char *text = json_string_value(json_object_get(root, "error"));
    if (fine)
        (void)nonsense(control, "the answer is no JSON");
    else if (text)
        (void)snprintf(control->error, sizeof(control->error), "%s", text);
    else
        (void)snprintf(control->error, sizeof(control->error), "HTTP status %u without a reason",
            parser->status_code);
    json_decref(root);
    return EXIT_FAILED;
}

/* ---- the request ---------------------------------------------------------------------------- */

static void write_request(struct out *out, const char *method, const char *path, const json_t *body)
{
    size_t len = body ? json_dumpb(body, NULL, 0, JSON_COMPACT) : 0;

    out_printf(out, "%s %s HTTP/1.1\r\nHost: millrace\r\nConnection: close\r\n", method, path);
    if (body)
        out_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", len);
    out_text(out, "\r\n");
    if (body)
        (void)json_dumpb(body, (char *)out_add(out, len), len, JSON_COMPACT);
}

int control_request(
    struct control *control, const char *method, const char *path, json_t *body, json_t **ret)
{
    struct out request = { 0 };
    struct answer answer = { 0 };
    http_parser parser;
    int fd = -1;

    write_request(&request, method, path, body);
    json_decref(body);
    int code = connect_to(control, &fd);
    if (!code)
        code = send_all(control, fd, &request);
    if (!code)
        code = read_answer(control, fd, &parser, &answer);
    if (!code)
        code = judge(control, &parser, &answer, ret);
    if (fd >= 0)
        (void)close(fd);
    out_done(&request);
    out_done(&answer.body);
    return code;
}
