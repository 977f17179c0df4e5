/* config_table.h - what the config*.c files share; for nobody else. */
#ifndef BROKER_CONFIG_TABLE_H
#define BROKER_CONFIG_TABLE_H

#include "broker/config.h"

/* Where broker_config_finish puts a value: config_key.store at config_key.offset. */
enum config_store {
    STORE_NOWHERE, /* read by name in config.c, or of no effect */
    STORE_BOOL,
    STORE_INT32,
    STORE_INT64,
    STORE_DOUBLE,
    STORE_TEXT, /* char *, NULL for null or empty */
};

struct config_extra {
    char *name, *text, *where;
    bool used;
};

struct config_given {
    const char *text; /* in force; NULL: null */
    const char *where;
    bool set; /* by a source, not the default */
};
/* `name` must be in the table. */
struct config_given config_given(const struct broker_config *config, const char *name);

/* "WHERE: KEY=VALUE: why" */
void config_error(struct config_report *report, const char *where, const char *key,
    const char *value, const char *format, ...) PRINTF_LIKE(5, 6);

/* Blank-trimmed copies of what stands between the commas; empty ones are left out. */
struct text_list {
    char **items;
    size_t count, capacity;
};
void text_list_split(struct text_list *list, const char *text);
void text_list_done(struct text_list *list);

/* 0 when the whole text is a number from min to max. */
int config_number(const char *text, int64_t min, int64_t max, int64_t *ret_number) MUST_CHECK;

/* ---- config_listeners.c ---- */

/* Fills config->listeners from listeners, advertised.listeners, the map and the controllers. */
void config_listeners(struct broker_config *config, struct config_report *report);
/* Fills config->address_limits. */
void config_address_limits(struct broker_config *config, struct config_report *report);

#endif
