/*
 * See listener.h.
 *
 * A listener's host is resolved when it is bound; a name with several addresses gets a port on
 * each, the same one (localhost: 127.0.0.1 and ::1). The empty host and [::] are one IPv6 socket
 * that takes IPv4 too, or 0.0.0.0 where the machine has no IPv6.
 */
#include "broker/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/socket.h"
#include "protocol/base/mem.h"

enum {
    ACCEPT_BUDGET = 64, /* per event */
    ADDRESS_BUCKETS = 1024,
    PORTS_MAX = 16, /* addresses of one host name */
};
static const int64_t ns_per_second = INT64_C(1000) * CLOCK_NS_PER_MS;
static const int64_t exhausted_ns = INT64_C(200) * CLOCK_NS_PER_MS; /* wait when descriptors lack */

struct address_limit_in {
    struct in6_addr address;
    uint32_t connections_max;
};

static int64_t now_ns(const struct listeners *listeners)
{
    return clock_monotonic_ns(listeners->doors->clock);
}

/* ---- addresses ---- */

/* IPv4 in its IPv6 form, so one key serves both. */
static struct in6_addr key_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return ((const struct sockaddr_in6 *)address)->sin6_addr;
    struct in6_addr key = { 0 };
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    key.s6_addr[10] = key.s6_addr[11] = 0xff;
    memcpy(&key.s6_addr[12], &in->sin_addr, 4);
    return key;
}

static size_t bucket_of(const struct in6_addr *address)
{
    uint64_t a, b;
    memcpy(&a, &address->s6_addr[0], 8);
    memcpy(&b, &address->s6_addr[8], 8);
    uint64_t hash = (a ^ (b * UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0xff51afd7ed558ccd);
    return (size_t)(hash >> 32) % ADDRESS_BUCKETS;
}

static struct address_count *count_of(struct listeners *listeners, const struct in6_addr *address)
{
    struct address_count **bucket = &listeners->addresses[bucket_of(address)];
    for (struct address_count *count = *bucket; count; count = count->next) {
        if (memcmp(&count->address, address, sizeof(*address)) == 0)
            return count;
    }
    struct address_count *count = mem_zalloc(1, sizeof(*count));
    count->address = *address;
    count->next = *bucket;
    *bucket = count;
    return count;
}

static void drop_if_unused(struct listeners *listeners, struct address_count *count)
{
    struct address_count **at = &listeners->addresses[bucket_of(&count->address)];
    if (count->connections > 0)
        return;
    while (*at != count)
        at = &(*at)->next;
    *at = count->next;
    mem_free(count);
}

/* In force now: some keys change at run time. */
static const struct broker_config *config_of(const struct listeners *listeners)
{
    return listeners->broker ? listeners->broker->config : listeners->config;
}

static uint32_t limit_of(const struct listeners *listeners, const struct in6_addr *address)
{
    for (size_t i = 0; i < listeners->limit_count; i++) {
        if (memcmp(&listeners->limits[i].address, address, sizeof(*address)) == 0)
            return listeners->limits[i].connections_max;
    }
    return (uint32_t)config_of(listeners)->connections_per_ip_max;
}

static uint32_t connections_of_all(const struct listeners *listeners)
{
    uint32_t all = 0;
    for (size_t i = 0; i < listeners->count; i++)
        all += listeners->items[i].connections;
    return all;
}

void listener_forget(struct listener *listener, struct address_count *address)
{
    listener->connections--;
    address->connections--;
    drop_if_unused(listener->owner, address);
}

/* ---- rates ---- */

/* A connection more: 0, or how long to wait for the next. */
static int64_t take_token(struct accept_rate *rate, int64_t now)
{
    if (rate->per_second == INT32_MAX)
        return 0;
    double per_ns = (double)rate->per_second / (double)ns_per_second;
    rate->tokens += (double)(now - rate->filled_ns) * per_ns;
    rate->filled_ns = now;
    if (rate->tokens > (double)rate->per_second)
        rate->tokens = (double)rate->per_second;
    if (rate->tokens < 1)
        return rate->per_second ? (int64_t)((1 - rate->tokens) / per_ns) + 1 : ns_per_second;
    rate->tokens -= 1;
    return 0;
}

static void rate_init(struct accept_rate *rate, int32_t per_second, int64_t now)
{
    *rate = (struct accept_rate){ per_second, per_second == INT32_MAX ? 0 : per_second, now };
}

/* ---- accept ---- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct listener *listener, bool on)
{
    for (size_t i = 0; i < listener->port_count; i++) {
        if (!listener->ports[i].polled)
            continue;
        if (on)
            CHECK(uv_poll_start(&listener->ports[i].poll, UV_READABLE, on_poll) == 0);
        else
            CHECK(uv_poll_stop(&listener->ports[i].poll) == 0);
    }
}

static void resume_fire(struct timer *timer)
{
    watch(container_of(timer, struct listener, resume), true);
}

static void wait_for(struct listener *listener, int64_t wait_ns)
{
    struct listeners *owner = listener->owner;
    watch(listener, false);
    timer_set(owner->doors->timers, &listener->resume, now_ns(owner) + wait_ns);
}

/* At most once per second, with the number of those in between. */
static void say_refused(struct listeners *listeners, const char *why)
{
    int64_t second = now_ns(listeners) / ns_per_second;
    listeners->broker->counters.refused++;
    listeners->refused_unsaid++;
    if (second == listeners->said_second)
        return;
    doors_say(listeners->doors, LOG_WARNING, "refused %u connection%s: %s",
        listeners->refused_unsaid, listeners->refused_unsaid == 1 ? "" : "s", why);
    listeners->said_second = second;
    listeners->refused_unsaid = 0;
}

/* NULL, or the limit that forbids one more. */
static const char *refusal(const struct listener *listener, const struct address_count *address)
{
    const struct listeners *owner = listener->owner;
    uint32_t all = connections_of_all(owner);
    if (all >= owner->sockets_max)
        return "the limit of open files (ulimit -n) leaves no more";
    if (all >= (uint32_t)config_of(owner)->connections_max)
        return "max.connections";
    if (listener->connections >= (uint32_t)listener->config->connections_max)
        return "listener.name.*.max.connections";
    if (address->connections >= limit_of(owner, &address->address))
        return "max.connections.per.ip";
    return NULL;
}

static void admit(struct listener *listener, int fd, const struct sockaddr_storage *peer)
{
    struct listeners *owner = listener->owner;
    struct in6_addr key = key_of(peer);
    struct address_count *address = count_of(owner, &key);
    const char *why = refusal(listener, address);
    listener->connections++;
    address->connections++;
    if (why) {
        (void)close(fd);
    } else if (socket_open(fd, listener, address, peer)) {
        why = "the descriptor cannot be watched";
    }
    if (why) {
        say_refused(owner, why);
        listener_forget(listener, address);
    }
}

/* False: nobody waits any more, or accepting does. */
static bool accept_one(struct listener_port *port)
{
    struct listener *listener = port->listener;
    struct listeners *owner = listener->owner;
    struct sockaddr_storage peer = { 0 };
    socklen_t len = sizeof(peer);
    int64_t now = now_ns(owner), wait_ns = take_token(&listener->rate, now);
    if (owner->rate.per_second != config_of(owner)->accept_rate_max)
        rate_init(&owner->rate, config_of(owner)->accept_rate_max, now);
    if (!wait_ns)
        wait_ns = take_token(&owner->rate, now);
    if (wait_ns) {
        wait_for(listener, wait_ns);
        return false;
    }
    int fd = accept4(port->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        admit(listener, fd, &peer);
        return true;
    }
    listener->rate.tokens += 1;
    owner->rate.tokens += 1;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        say_refused(owner, strerror(errno));
        wait_for(listener, exhausted_ns);
        return false;
    }
    return errno != EAGAIN; /* any other error is that of one connection */
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct listener_port *port = container_of(poll, struct listener_port, poll);
    if (status || !(events & UV_READABLE))
        return;
    for (int i = 0; i < ACCEPT_BUDGET && accept_one(port); i++)
        continue;
}

/* ---- bind ---- */

static int bind_one(int fd, const struct broker_config *config, const struct addrinfo *info,
    int32_t port, bool dual)
{
    struct sockaddr_storage address = { 0 };
    int on = 1, off = 0;
    memcpy(&address, info->ai_addr, info->ai_addrlen);
    if (info->ai_family == AF_INET6) {
        ((struct sockaddr_in6 *)&address)->sin6_port = htons((uint16_t)port);
        if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, dual ? &off : &on, sizeof(on)))
            return -errno;
    } else {
        ((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)port);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
        return -errno;
    if (config->socket_receive_buffer_bytes >= 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &config->socket_receive_buffer_bytes,
            sizeof(config->socket_receive_buffer_bytes)))
        return -errno;
    return bind(fd, (struct sockaddr *)&address, info->ai_addrlen) ? -errno : 0;
}

/* One more port of the listener; the first tells the others the number. */
static int add_port(struct listener *listener, const struct addrinfo *info, bool dual)
{
    struct sockaddr_storage own = { 0 };
    socklen_t len = sizeof(own);
    char text[INET6_ADDRSTRLEN];
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int status = bind_one(fd, listener->owner->config, info, listener->port, dual);
    if (!status && getsockname(fd, (struct sockaddr *)&own, &len))
        status = -errno;
    if (status) {
        (void)close(fd);
        return status;
    }
    listener->port = socket_address_text(&own, text, sizeof(text));
    listener->ports[listener->port_count++] =
        (struct listener_port){ .listener = listener, .fd = fd };
    return 0;
}

static int add_ports(struct listener *listener, const struct addrinfo *infos, bool dual)
{
    int status = -EADDRNOTAVAIL;
    listener->ports = mem_zalloc(PORTS_MAX, sizeof(*listener->ports));
    for (const struct addrinfo *info = infos; info; info = info->ai_next) {
        if (info->ai_family != AF_INET && info->ai_family != AF_INET6)
            continue;
        if (listener->port_count == PORTS_MAX || (dual && listener->port_count == 1))
            break;
        int one = add_port(listener, info, dual && info->ai_family == AF_INET6);
        /* No IPv6 on this machine: its address of a name is not missed. */
        if (one == -EAFNOSUPPORT || one == -EADDRNOTAVAIL)
            continue;
        if (one)
            return one;
        status = 0;
    }
    return listener->port_count > 0 ? 0 : status;
}

static int listener_bind(struct listener *listener)
{
    const struct listener_config *config = listener->config;
    struct doors *doors = listener->owner->doors;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *infos = NULL;
    bool dual = !*config->host || strcmp(config->host, "::") == 0;
    const char *host = dual ? "::" : config->host;
    int failed = getaddrinfo(host, NULL, &hints, &infos);
    if (failed) {
        doors_say(doors, LOG_ERROR, "listener %s: '%s': %s", config->name, config->host,
            failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
        return -EADDRNOTAVAIL;
    }
    int status = add_ports(listener, infos, dual);
    freeaddrinfo(infos);
    if (status == -EADDRNOTAVAIL && dual && !getaddrinfo("0.0.0.0", NULL, &hints, &infos)) {
        mem_free(listener->ports);
        listener->port_count = 0;
        status = add_ports(listener, infos, true);
        freeaddrinfo(infos);
    }
    if (status)
        doors_say(doors, LOG_ERROR, "listener %s://%s:%d: %s", config->name, config->host,
            listener->port, strerror(-status));
    listener->endpoint = (struct endpoint){
        .listener_name = config->name,
        .host = config->advertised_host ? bytes_text(config->advertised_host) : bytes_of("", 0),
        .port = config->advertised_port ? config->advertised_port : listener->port,
    };
    return status;
}

static void resolve_limits(struct listeners *listeners)
{
    const struct broker_config *config = listeners->config;
    listeners->limits = mem_zalloc(config->address_limit_count * 2 + 1, sizeof(*listeners->limits));
    for (size_t i = 0; i < config->address_limit_count; i++) {
        const struct address_limit *limit = &config->address_limits[i];
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *infos = NULL;
        if (getaddrinfo(limit->host, NULL, &hints, &infos)) {
            doors_say(listeners->doors, LOG_WARNING,
                "max.connections.per.ip.overrides: nobody knows %s", limit->host);
            continue;
        }
        struct sockaddr_storage address = { 0 };
        for (struct addrinfo *info = infos; info; info = info->ai_next) {
            if (listeners->limit_count == config->address_limit_count * 2)
                break;
            memcpy(&address, info->ai_addr, info->ai_addrlen);
            listeners->limits[listeners->limit_count++] =
                (struct address_limit_in){ .address = key_of(&address),
                    .connections_max = (uint32_t)limit->connections_max };
        }
        freeaddrinfo(infos);
    }
}

int listeners_bind(struct listeners *listeners, const struct broker_config *config,
    struct doors *doors, uv_loop_t *loop, uint32_t sockets_max)
{
    *listeners = (struct listeners){
        .config = config, .doors = doors, .loop = loop, .sockets_max = sockets_max
    };
    list_init(&listeners->sockets);
    list_init(&listeners->dirty);
    listeners->addresses = mem_zalloc(ADDRESS_BUCKETS, sizeof(*listeners->addresses));
    listeners->items = mem_zalloc(config->listener_count + 1, sizeof(*listeners->items));
    int64_t now = now_ns(listeners);
    rate_init(&listeners->rate, config->accept_rate_max, now);
    resolve_limits(listeners);
    for (size_t i = 0; i < config->listener_count; i++) {
        struct listener *listener = &listeners->items[listeners->count++];
        listener->owner = listeners;
        listener->config = &config->listeners[i];
        listener->port = listener->config->port;
        listener->resume.fire = resume_fire;
        rate_init(&listener->rate, listener->config->accept_rate_max, now);
        int status = listener_bind(listener);
        if (status) {
            listeners_done(listeners);
            return status;
        }
    }
    return 0;
}

/* ---- start and end ---- */

static bool beyond_loopback(const struct listener *listener)
{
    for (size_t i = 0; i < listener->port_count; i++) {
        struct sockaddr_storage own = { 0 };
        socklen_t len = sizeof(own);
        if (getsockname(listener->ports[i].fd, (struct sockaddr *)&own, &len))
            continue;
        struct in6_addr key = key_of(&own);
        bool mapped_loopback = IN6_IS_ADDR_V4MAPPED(&key) && key.s6_addr[12] == 127;
        if (!IN6_IS_ADDR_LOOPBACK(&key) && !mapped_loopback)
            return true;
    }
    return false;
}

static void say_listener(const struct listener *listener)
{
    struct doors *doors = listener->owner->doors;
    const struct listener_config *config = listener->config;
    const char *host = config->host;
    char advertised[300] = "";
    if (!*host)
        host = "::";
    if (config->advertised_host &&
        (strcmp(config->advertised_host, config->host) != 0 || config->advertised_port))
        (void)snprintf(advertised, sizeof(advertised), ", advertised as %s:%d",
            config->advertised_host, listener->endpoint.port);
    doors_say(doors, LOG_INFO,
        strchr(host, ':') ? "listening on %s://[%s]:%d%s" : "listening on %s://%s:%d%s",
        config->name, host, listener->port, advertised);
    if (beyond_loopback(listener))
        doors_say(doors, LOG_WARNING,
            "listener %s is open beyond this machine, in the clear and without passwords",
            config->name);
}

static int start_port(struct listeners *listeners, struct listener_port *port)
{
    if (listen(port->fd, listeners->config->socket_backlog))
        return -errno;
    int status = uv_poll_init(listeners->loop, &port->poll, port->fd);
    port->polled = status == 0;
    return status;
}

int listeners_start(struct listeners *listeners, struct broker *broker)
{
    listeners->broker = broker;
    for (size_t i = 0; i < listeners->count; i++) {
        struct listener *listener = &listeners->items[i];
        for (size_t j = 0; j < listener->port_count; j++) {
            int status = start_port(listeners, &listener->ports[j]);
            if (status) {
                doors_say(listeners->doors, LOG_ERROR, "listener %s, port %d: %s",
                    listener->config->name, listener->port, strerror(-status));
                return status;
            }
        }
        watch(listener, true);
        say_listener(listener);
    }
    return 0;
}

void listeners_stop(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        struct listener *listener = &listeners->items[i];
        timer_cancel(listeners->doors->timers, &listener->resume);
        for (size_t j = 0; j < listener->port_count; j++) {
            struct listener_port *port = &listener->ports[j];
            if (port->polled)
                uv_close((uv_handle_t *)&port->poll, NULL);
            port->polled = false;
            if (port->fd >= 0)
                (void)close(port->fd); /* nothing to be done about an error */
            port->fd = -1;
        }
    }
}

void listeners_close_sockets(struct listeners *listeners)
{
    struct list *node;
    while ((node = list_first(&listeners->sockets)))
        socket_close(list_entry(node, struct socket, link));
}

void listeners_flush(struct listeners *listeners)
{
    struct list *node;
    while ((node = list_first(&listeners->dirty)))
        socket_flush(list_entry(node, struct socket, dirty_link));
}

void listeners_done(struct listeners *listeners)
{
    if (!listeners->items)
        return;
    listeners_stop(listeners);
    for (size_t i = 0; i < listeners->count; i++)
        mem_free(listeners->items[i].ports);
    mem_free(listeners->items);
    mem_free(listeners->addresses);
    mem_free(listeners->limits);
    *listeners = (struct listeners){ 0 };
}
