/*
 * See socket.h.
 *
 * Readable: ask the connection where to, receive, tell it; again while the kernel filled everything
 * and the turn's budget lasts. The connection has something to send: the socket is put into the
 * listeners' dirty list and flushed once at the end of the turn, so all answers of a turn go out
 * together; what the kernel does not take waits for writable.
 *
 * While reading is paused the descriptor is not watched for it: a client that goes away meanwhile
 * is noticed when reading goes on, which it always does.
 */
#include "broker/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/base/mem.h"

enum {
    READ_BUDGET = 256 * 1024,       /* bytes per event, for fairness */
    WRITE_BUDGET = 4 * 1024 * 1024, /* bytes per turn */
    IOV_COUNT = 64,
};

int32_t socket_address_text(const struct sockaddr_storage *address, char *to, size_t size)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        if (!inet_ntop(AF_INET, &in->sin_addr, to, (socklen_t)size))
            to[0] = 0;
        return ntohs(in->sin_port);
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    const void *bytes = &in6->sin6_addr;
    int family = AF_INET6;
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        family = AF_INET;
        bytes = &in6->sin6_addr.s6_addr[12];
    }
    if (!inet_ntop(family, bytes, to, (socklen_t)size))
        to[0] = 0;
    return ntohs(in6->sin6_port);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct socket *socket)
{
    int events = (socket->paused ? 0 : UV_READABLE) | (socket->wants_write ? UV_WRITABLE : 0);
    if (!socket->connection)
        return;
    if (events)
        CHECK(uv_poll_start(&socket->poll, events, on_poll) == 0);
    else
        CHECK(uv_poll_stop(&socket->poll) == 0);
}

/* ---- the transport's calls ---- */

static void wants_output(struct transport *transport)
{
    struct socket *socket = container_of(transport, struct socket, transport);
    list_remove(&socket->dirty_link);
    list_append(&socket->listener->owner->dirty, &socket->dirty_link);
}

static void set_paused(struct transport *transport, bool paused)
{
    struct socket *socket = container_of(transport, struct socket, transport);
    socket->paused = paused;
    watch(socket);
}

static void close_transport(struct transport *transport)
{
    socket_close(container_of(transport, struct socket, transport));
}

/* ---- bytes ---- */

/* 1: everything went; 0: the kernel takes no more now, or the budget is used up; -errno: the
 * connection is over. */
static int send_all(struct socket *socket)
{
    struct iovec iov[IOV_COUNT];
    size_t budget = WRITE_BUDGET;
    for (;;) {
        int count = connection_output(socket->connection, iov, IOV_COUNT);
        if (count == 0)
            return 1;
        if (budget == 0)
            return 0;
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = (size_t)count };
        ssize_t sent = sendmsg(socket->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        budget -= (size_t)sent < budget ? (size_t)sent : budget;
        connection_sent(socket->connection, (size_t)sent);
    }
}

/* 0 or -errno. */
static int flush(struct socket *socket)
{
    int status = send_all(socket);
    bool wants_write = status == 0;
    if (status < 0)
        return status;
    if (wants_write != socket->wants_write) {
        socket->wants_write = wants_write;
        watch(socket);
    }
    return 0;
}

void socket_flush(struct socket *socket)
{
    list_remove(&socket->dirty_link);
    if (socket->connection && flush(socket))
        socket_close(socket);
}

/* 0, or -errno (also when the client has ended): the connection is over. */
static int receive(struct socket *socket)
{
    size_t total = 0;
    while (total < READ_BUDGET) {
        uint8_t *to;
        size_t room;
        connection_reserve(socket->connection, &to, &room);
        if (room == 0)
            return 0;
        ssize_t len = recv(socket->fd, to, room, MSG_DONTWAIT);
        if (len < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (len == 0)
            return -ECONNRESET;
        int status = connection_received(socket->connection, (size_t)len);
        if (status)
            return status;
        if ((size_t)len < room)
            return 0;
        total += (size_t)len;
    }
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct socket *socket = container_of(poll, struct socket, poll);
    if (!socket->connection)
        return;
    if (!status && (events & UV_READABLE) && !socket->paused)
        status = receive(socket);
    if (!status && (events & UV_WRITABLE))
        status = flush(socket);
    if (status)
        socket_close(socket);
}

/* ---- life ---- */

static void closed(uv_handle_t *handle)
{
    mem_free(container_of(handle, struct socket, poll));
}

void socket_close(struct socket *socket)
{
    if (!socket->connection)
        return;
    (void)send_all(socket); /* whoever fails here is closed as well */
    struct connection *connection = socket->connection;
    socket->connection = NULL;
    connection_destroy(connection);
    list_remove(&socket->link);
    list_remove(&socket->dirty_link);
    listener_forget(socket->listener, socket->address);
    uv_close((uv_handle_t *)&socket->poll, closed);
    (void)close(socket->fd); /* nothing to be done about an error */
}

static void set_options(int fd, const struct broker_config *config)
{
    int on = 1;
    /* Without them it works too, only slower. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (config->socket_send_buffer_bytes >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &config->socket_send_buffer_bytes,
            sizeof(config->socket_send_buffer_bytes));
}

/* What this client is told: the listener's address, or the one it came to. */
static const struct endpoint *choose_endpoint(struct socket *socket)
{
    struct sockaddr_storage own;
    socklen_t len = sizeof(own);
    const struct endpoint *endpoint = &socket->listener->endpoint;
    if (endpoint->host.len > 0)
        return endpoint;
    socket->endpoint = *endpoint;
    if (getsockname(socket->fd, (struct sockaddr *)&own, &len) == 0)
        (void)socket_address_text(&own, socket->host, sizeof(socket->host));
    socket->endpoint.host = bytes_text(socket->host);
    return &socket->endpoint;
}

int socket_open(int fd, struct listener *listener, struct address_count *address,
    const struct sockaddr_storage *peer)
{
    struct listeners *owner = listener->owner;
    char host[INET6_ADDRSTRLEN], name[CONNECTION_PEER_SIZE], client_host[CONNECTION_PEER_SIZE];
    struct socket *socket = mem_zalloc(1, sizeof(*socket));
    int status = uv_poll_init(owner->loop, &socket->poll, fd);
    if (status) {
        (void)close(fd);
        mem_free(socket);
        return status;
    }
    set_options(fd, owner->config);
    int32_t port = socket_address_text(peer, host, sizeof(host));
    (void)snprintf(name, sizeof(name), strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
    (void)snprintf(client_host, sizeof(client_host), "/%s", host);
    socket->fd = fd;
    socket->listener = listener;
    socket->address = address;
    socket->transport = (struct transport){
        .wants_output = wants_output, .pause = set_paused, .close = close_transport
    };
    list_append(&owner->sockets, &socket->link);
    list_init(&socket->dirty_link);
    socket->connection = connection_create(
        owner->broker, &socket->transport, choose_endpoint(socket), name, client_host);
    watch(socket);
    return 0;
}
