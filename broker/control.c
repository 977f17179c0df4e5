/*
 * See control.h.
 *
 * A client: bytes go through http_parser; the whole head and body are gathered (bounded), handed to
 * control_handle, and its answer is written; then the connection is closed. An answer that comes
 * later finds its client by the request it was given; a client that went away meanwhile is kept as
 * a shell until the answer has come.
 *
 * Failure modes: malformed HTTP or JSON is a 400, too large a 413, too slow is closed.
 */
#include "broker/control.h"

#include <errno.h>
#include <http_parser.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol/base/mem.h"

enum { READ_SIZE = 16 * 1024, PATH_MAX_LEN = 2048, JSON_DEPTH_FLAGS = JSON_REJECT_DUPLICATES };

struct client {
    struct list link; /* in control->clients */
    struct control *control;
    uv_pipe_t pipe;
    uv_write_t write;
    struct timer timer;
    http_parser parser;
    struct out url, body, answer;
    size_t head_len;
    struct control_request request;
    char path[PATH_MAX_LEN];
    json_t *json;
    bool handling; /* control_handle has it */
    bool answered, closing, closed;
};

/* ---- life ---- */

static void client_free(struct client *client)
{
    list_remove(&client->link);
    client->control->client_count--;
    out_done(&client->url);
    out_done(&client->body);
    out_done(&client->answer);
    json_decref(client->json);
    mem_free(client);
}

static void client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    client->closed = true;
    if (!client->handling)
        client_free(client);
}

static void client_close(struct client *client)
{
    if (client->closing)
        return;
    client->closing = true;
    timer_cancel(client->control->broker->doors->timers, &client->timer);
    uv_close((uv_handle_t *)&client->pipe, client_closed);
}

static void client_timeout(struct timer *timer)
{
    client_close(container_of(timer, struct client, timer));
}

static void set_timeout(struct client *client)
{
    struct doors *doors = client->control->broker->doors;
    timer_set(doors->timers, &client->timer,
        clock_monotonic_ns(doors->clock) + CONTROL_TIMEOUT_MS * CLOCK_NS_PER_MS);
}

/* ---- answer ---- */

static const char *status_text(int status)
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Payload Too Large";
    case 503: return "Service Unavailable";
    default: return "Internal Server Error";
    }
}

static void written(uv_write_t *write, int status)
{
    (void)status; /* closed either way */
    client_close(write->data);
}

static void client_answer(struct client *client, int status, json_t *answer)
{
    size_t len = json_dumpb(answer, NULL, 0, JSON_COMPACT);
    client->answered = true;
    if (!client->closing) {
        out_printf(&client->answer,
            "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
            "Connection: close\r\n\r\n",
            status, status_text(status), len + 1);
        (void)json_dumpb(answer, (char *)out_add(&client->answer, len), len, JSON_COMPACT);
        out_bytes(&client->answer, "\n", 1);
        uv_buf_t buf = uv_buf_init((char *)client->answer.data, (unsigned)client->answer.len);
        client->write.data = client;
        set_timeout(client);
        if (uv_write(&client->write, (uv_stream_t *)&client->pipe, &buf, 1, written))
            client_close(client);
    }
    json_decref(answer);
}

static void request_answer(struct control_request *request, int status, json_t *answer)
{
    struct client *client = container_of(request, struct client, request);
    client->handling = false;
    client_answer(client, status, answer);
    if (client->closed)
        client_free(client);
}

json_t *control_error(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_t *string = json_string(text); /* NULL: not UTF-8 */
    return json_pack("{s:o}", "error", string ? string : json_string("an error"));
}

/* ---- request ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* The path of the URL, without its query, %XX decoded. -EINVAL: no such thing. */
static int decode_path(struct client *client)
{
    size_t len = 0;
    for (size_t i = 0; i < client->url.len; i++) {
        char c = (char)client->url.data[i];
        if (c == '?')
            break;
        if (c == '%') {
            int high = i + 2 < client->url.len ? hex_digit((char)client->url.data[i + 1]) : -1;
            int low = i + 2 < client->url.len ? hex_digit((char)client->url.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -EINVAL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == 0 || len + 1 >= sizeof(client->path))
            return -EINVAL;
        client->path[len++] = c;
    }
    client->path[len] = 0;
    return 0;
}

static void client_handle(struct client *client)
{
    static const char forget[] = "?forget=true";
    json_error_t problem;
    if (decode_path(client)) {
        client_answer(client, 400, control_error("the path makes no sense"));
        return;
    }
    if (client->body.len > 0) {
        client->json = json_loadb(
            (const char *)client->body.data, client->body.len, JSON_DEPTH_FLAGS, &problem);
        if (!client->json) {
            client_answer(client, 400,
                control_error("the body is no JSON: %s (line %d)", problem.text, problem.line));
            return;
        }
    }
    client->request = (struct control_request){
        .method = http_method_str((enum http_method)client->parser.method),
        .path = client->path,
        .forget = client->url.len > sizeof(forget) - 1 &&
                  memcmp(client->url.data + client->url.len - (sizeof(forget) - 1), forget,
                      sizeof(forget) - 1) == 0,
        .body = client->json,
        .answer = request_answer,
    };
    client->handling = true;
    timer_cancel(client->control->broker->doors->timers, &client->timer);
    control_handle(client->control, &client->request);
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct client *client = parser->data;
    if (client->url.len + len >= PATH_MAX_LEN)
        return 1;
    out_bytes(&client->url, at, len);
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct client *client = parser->data;
    if (client->body.len + len > CONTROL_BODY_MAX)
        return 1;
    out_bytes(&client->body, at, len);
    return 0;
}

static int on_complete(http_parser *parser)
{
    http_parser_pause(parser, 1); /* one request per connection */
    client_handle(parser->data);
    return 0;
}

static void parse(struct client *client, const char *data, size_t len)
{
    http_parser_settings settings;
    http_parser_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    client->head_len += len;
    (void)http_parser_execute(&client->parser, &settings, data, len);
    if (client->answered || client->handling)
        return;
    bool large = client->head_len > CONTROL_HEAD_MAX + CONTROL_BODY_MAX ||
                 client->parser.http_errno == HPE_CB_body;
    if (large)
        client_answer(client, 413, control_error("the request is too large"));
    else if (client->parser.http_errno != HPE_OK)
        client_answer(client, 400,
            control_error("no HTTP request: %s",
                http_errno_description((enum http_errno)client->parser.http_errno)));
}

/* One read at a time on one loop: the next one may use the same bytes. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(mem_alloc(READ_SIZE), READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct client *client = stream->data;
    if (len < 0)
        client_close(client);
    else if (len > 0 && !client->answered && !client->handling)
        parse(client, buf->base, (size_t)len);
    mem_free(buf->base);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct control *control = server->data;
    if (status)
        return;
    struct client *client = mem_zalloc(1, sizeof(*client));
    client->control = control;
    client->timer.fire = client_timeout;
    http_parser_init(&client->parser, HTTP_REQUEST);
    client->parser.data = client;
    CHECK(uv_pipe_init(control->loop, &client->pipe, 0) == 0);
    client->pipe.data = client;
    list_append(&control->clients, &client->link);
    control->client_count++;
    if (uv_accept(server, (uv_stream_t *)&client->pipe) ||
        control->client_count > CONTROL_CLIENTS_MAX ||
        uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read)) {
        client_close(client);
        return;
    }
    set_timeout(client);
}

/* ---- open and close ---- */

static int listen_at(struct control *control)
{
    if (strlen(control->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return -ENAMETOOLONG;
    if (unlink(control->path) && errno != ENOENT)
        return -errno;
    mode_t mask = umask(0177);
    int status = uv_pipe_bind(&control->pipe, control->path);
    (void)umask(mask);
    if (!status)
        status = uv_listen((uv_stream_t *)&control->pipe, CONTROL_CLIENTS_MAX, on_connection);
    return status;
}

void control_open(struct control *control, uv_loop_t *loop, struct broker *broker,
    const struct listeners *listeners)
{
    *control = (struct control){ .loop = loop, .broker = broker, .listeners = listeners };
    list_init(&control->clients);
    control->path = mem_printf("%s/control.sock", broker->config->log_dir);
    control->started_ns = clock_monotonic_ns(broker->doors->clock);
    CHECK(uv_pipe_init(loop, &control->pipe, 0) == 0);
    control->pipe.data = control;
    control->opened = true;
    int status = listen_at(control);
    if (status)
        doors_say(broker->doors, LOG_WARNING, "no local control (millrace process, status): %s: %s",
            control->path, strerror(-status));
}

void control_close(struct control *control)
{
    if (!control->opened)
        return;
    control->opened = false;
    uv_close((uv_handle_t *)&control->pipe, NULL); /* libuv unlinks the path */
    list_foreach_safe (node, following, &control->clients)
        client_close(list_entry(node, struct client, link));
}

void control_done(struct control *control)
{
    if (!control->path)
        return;
    CHECK(list_empty(&control->clients));
    mem_free(control->path);
    *control = (struct control){ 0 };
}
