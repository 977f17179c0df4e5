/*
 * config_listeners.c - listeners, what they advertise, and the limits of addresses.
 *
 * A listener is NAME://HOST:PORT; its protocol is what the map says of the name, or the name
 * itself. Only PLAINTEXT is served: any other listener is refused, because opening it in the clear
 * would weaken what its owner asked for. Listeners of the controller are accepted and not opened: a
 * user's KRaft server.properties has them, one node needs no controller quorum.
 *
 * Never advertised: 0.0.0.0 and [::]. A listener without an advertised address tells each client
 * the address that this client came to.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "broker/config_table.h"
#include "protocol/base/mem.h"

struct names {
    struct text_list controllers, map;
};

/* One NAME://HOST:PORT, taken apart. */
struct address {
    char *name, *host;
    int32_t port;
};

static void address_done(struct address *address)
{
    mem_free(address->name);
    mem_free(address->host);
    *address = (struct address){ 0 };
}

static bool valid_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) && !strchr("_-.", name[i]))
            return false;
    }
    return len > 0;
}

static char *upper(const char *text, size_t len)
{
    char *copy = mem_strndup(text, len);
    for (char *at = copy; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    return copy;
}

/* 0, or -EINVAL and nothing to free. IPv6 may stand with or without its brackets. */
static int address_parse(struct address *address, const char *text)
{
    const char *scheme = strstr(text, "://");
    if (!scheme || !valid_name(text, (size_t)(scheme - text)))
        return -EINVAL;
    const char *host = scheme + 3, *colon = strrchr(host, ':');
    int64_t port;
    if (!colon || config_number(colon + 1, 0, 65535, &port))
        return -EINVAL;
    size_t len = (size_t)(colon - host);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)host[i]) && !strchr("-._:%", host[i]))
            return -EINVAL;
    }
    address->name = upper(text, (size_t)(scheme - text));
    address->host = mem_strndup(host, len);
    address->port = (int32_t)port;
    return 0;
}

static bool is_wildcard(const char *host)
{
    return !*host || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static bool is_controller(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->controllers.count; i++) {
        if (strcasecmp(names->controllers.items[i], name) == 0)
            return true;
    }
    return false;
}

static struct listener_config *find(struct broker_config *config, const char *name)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        if (strcmp(config->listeners[i].name, name) == 0)
            return &config->listeners[i];
    }
    return NULL;
}

static const char *protocol_named(const char *text)
{
    static const char *const known[] = { "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL" };
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (strcasecmp(known[i], text) == 0)
            return known[i];
    }
    return NULL;
}

/* NULL: nobody says. */
static const char *protocol_of(const struct names *names, const char *listener)
{
    size_t len = strlen(listener);
    for (size_t i = 0; i < names->map.count; i++) {
        const char *entry = names->map.items[i];
        if (strncasecmp(entry, listener, len) == 0 && entry[len] == ':')
            return protocol_named(entry + len + 1);
    }
    return protocol_named(listener);
}

static void check_map(
    const struct names *names, struct config_given map, struct config_report *report)
{
    for (size_t i = 0; i < names->map.count; i++) {
        const char *colon = strchr(names->map.items[i], ':');
        if (!colon || !protocol_named(colon + 1))
            config_error(report, map.where, "listener.security.protocol.map", map.text,
                "'%s' is not NAME:PROTOCOL with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
                names->map.items[i]);
    }
}

static bool clashes(const struct broker_config *config, const struct address *address)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct listener_config *other = &config->listeners[i];
        if (address->port && other->port == address->port &&
            strcmp(other->host, address->host) == 0)
            return true;
    }
    return false;
}

/* Takes over the address's memory when it says yes. */
static bool add_listener(struct broker_config *config, const struct names *names,
    struct address *address, struct config_given given, struct config_report *report)
{
    static const char key[] = "listeners";
    const char *protocol = protocol_of(names, address->name);
    if (find(config, address->name))
        config_error(report, given.where, key, given.text, "%s is there twice", address->name);
    else if (clashes(config, address))
        config_error(report, given.where, key, given.text,
            "two listeners on port %" PRId32 " of one address", address->port);
    else if (!protocol)
        config_error(report, given.where, key, given.text,
            "listener.security.protocol.map does not say what %s speaks", address->name);
    else if (strcmp(protocol, "PLAINTEXT") != 0)
        config_error(report, given.where, key, given.text,
            "%s wants %s, which is not served yet; to speak in the clear say PLAINTEXT",
            address->name, protocol);
    else {
        config->listeners[config->listener_count++] = (struct listener_config){
            .name = address->name,
            .host = address->host,
            .port = address->port,
            .connections_max = INT32_MAX,
            .accept_rate_max = INT32_MAX,
        };
        *address = (struct address){ 0 };
        return true;
    }
    return false;
}

static void add_listeners(
    struct broker_config *config, const struct names *names, struct config_report *report)
{
    struct config_given given = config_given(config, "listeners");
    struct text_list list;
    bool good = true;
    text_list_split(&list, given.text);
    config->listeners = mem_zalloc(list.count + 1, sizeof(*config->listeners));
    for (size_t i = 0; i < list.count; i++) {
        struct address address = { 0 };
        if (address_parse(&address, list.items[i])) {
            config_error(report, given.where, "listeners", given.text,
                "'%s' is not NAME://HOST:PORT", list.items[i]);
            good = false;
        } else if (!is_controller(names, address.name)) {
            good = add_listener(config, names, &address, given, report) && good;
        }
        address_done(&address);
    }
    if (good && config->listener_count == 0)
        config_error(report, given.where, "listeners", given.text, "no listener for clients");
    text_list_done(&list);
}

static void advertise(struct broker_config *config, const struct names *names,
    struct address *address, struct config_given given, struct config_report *report)
{
    static const char key[] = "advertised.listeners";
    struct listener_config *listener = find(config, address->name);
    if (!listener && is_controller(names, address->name))
        return;
    if (!listener)
        config_error(
            report, given.where, key, given.text, "there is no listener %s", address->name);
    else if (listener->advertised_host || listener->advertised_port)
        config_error(report, given.where, key, given.text, "%s is there twice", address->name);
    else if (*address->host && is_wildcard(address->host))
        config_error(report, given.where, key, given.text,
            "%s is every address; name one that clients can reach", address->host);
    else {
        listener->advertised_port = address->port;
        if (*address->host) {
            listener->advertised_host = address->host;
            address->host = NULL;
        }
    }
}

static void add_advertised(
    struct broker_config *config, const struct names *names, struct config_report *report)
{
    struct config_given given = config_given(config, "advertised.listeners");
    struct text_list list;
    text_list_split(&list, given.text);
    for (size_t i = 0; i < list.count; i++) {
        struct address address = { 0 };
        if (address_parse(&address, list.items[i]))
            config_error(report, given.where, "advertised.listeners", given.text,
                "'%s' is not NAME://HOST:PORT", list.items[i]);
        else
            advertise(config, names, &address, given, report);
        address_done(&address);
    }
    text_list_done(&list);
    for (size_t i = 0; i < config->listener_count; i++) {
        struct listener_config *listener = &config->listeners[i];
        if (!listener->advertised_host && !is_wildcard(listener->host))
            listener->advertised_host = mem_strdup(listener->host);
    }
}

/* listener.name.NAME.max.connections and ....max.connection.creation.rate */
static void add_limits(struct broker_config *config)
{
    static const size_t prefix = sizeof("listener.name.") - 1;
    for (size_t i = 0; i < config->extra_count; i++) {
        struct config_extra *extra = &config->extras[i];
        for (size_t j = 0; j < config->listener_count; j++) {
            struct listener_config *listener = &config->listeners[j];
            size_t len = strlen(listener->name);
            int64_t number;
            if (strncmp(extra->name, "listener.name.", prefix) != 0 ||
                strncasecmp(extra->name + prefix, listener->name, len) != 0 ||
                config_number(extra->text, 0, INT32_MAX, &number))
                continue;
            const char *rest = extra->name + prefix + len;
            if (strcmp(rest, ".max.connections") == 0)
                listener->connections_max = (int32_t)number;
            else if (strcmp(rest, ".max.connection.creation.rate") == 0)
                listener->accept_rate_max = (int32_t)number;
            else
                continue;
            extra->used = true;
        }
    }
}

void config_listeners(struct broker_config *config, struct config_report *report)
{
    struct names names = { 0 };
    struct config_given map = config_given(config, "listener.security.protocol.map");
    text_list_split(&names.controllers, config_given(config, "controller.listener.names").text);
    text_list_split(&names.map, map.text);
    check_map(&names, map, report);
    add_listeners(config, &names, report);
    add_advertised(config, &names, report);
    add_limits(config);
    text_list_done(&names.controllers);
    text_list_done(&names.map);
}

void config_address_limits(struct broker_config *config, struct config_report *report)
{
    static const char key[] = "max.connections.per.ip.overrides";
    struct config_given given = config_given(config, key);
    struct text_list list;
    text_list_split(&list, given.text);
    config->address_limits = mem_zalloc(list.count + 1, sizeof(*config->address_limits));
    for (size_t i = 0; i < list.count; i++) {
        const char *colon = strrchr(list.items[i], ':');
        int64_t number;
        if (!colon || colon == list.items[i] || config_number(colon + 1, 0, INT32_MAX, &number)) {
            config_error(
                report, given.where, key, given.text, "'%s' is not HOST:COUNT", list.items[i]);
            continue;
        }
        config->address_limits[config->address_limit_count++] = (struct address_limit){
            .host = mem_strndup(list.items[i], (size_t)(colon - list.items[i])),
            .connections_max = (int32_t)number,
        };
    }
    text_list_done(&list);
}
