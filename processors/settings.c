/*
 * Settings from declarations and text. See settings.h.
 *
 * Each given key is looked up in this order: the processor's own declared keys, the table of common
 * keys, input./output./window. prefixes. A key nobody knows is refused, with the nearest known one.
 */
#include "processors/settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/base/nearest.h"

#define DAYS_400_MS (INT64_C(400) * 24 * 3600 * 1000)

struct parse {
    struct settings *settings;
    char *error;
    size_t error_size;
};

PRINTF_LIKE(2, 3)
static int refuse(struct parse *parse, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(parse->error, parse->error_size, format, args);
    va_end(args);
    return -EINVAL;
}

size_t settings_list_count(const void *const *list)
{
    size_t count = 0;
    while (list && list[count])
        count++;
    return count;
}

/* ---- numbers --------------------------------------------------------------------------------- */

struct suffix {
    const char *text;
    int64_t factor;
};

static const struct suffix no_suffixes[] = { { "", 1 }, { NULL, 0 } };
static const struct suffix duration_suffixes[] = { { "", 1 }, { "ms", 1 }, { "s", 1000 },
    { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };
static const struct suffix size_suffixes[] = { { "", 1 }, { "k", 1 << 10 }, { "m", 1 << 20 },
    { "g", 1 << 30 }, { NULL, 0 } };

static int number_of(const char *text, const struct suffix *suffixes, int64_t *ret)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *text == ' ')
        return -EINVAL;
    for (; suffixes->text; suffixes++) {
        if (strcmp(end, suffixes->text) == 0)
            return __builtin_mul_overflow(number, suffixes->factor, ret) ? -EINVAL : 0;
    }
    return -EINVAL;
}

static int bool_of(const char *text, int64_t *ret)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return -EINVAL;
    *ret = strcmp(text, "true") == 0;
    return 0;
}

/* ---- the common keys ------------------------------------------------------------------------- */

static int set_start(struct settings *settings, const char *value)
{
    settings->start_latest = strcmp(value, "latest") == 0;
    return settings->start_latest || strcmp(value, "earliest") == 0 ? 0 : -EINVAL;
}

static int set_idle_ms(struct settings *settings, const char *value)
{
    int r = number_of(value, duration_suffixes, &settings->idle_ms);
    return r ? r : settings->idle_ms < 1 || settings->idle_ms > DAYS_400_MS ? -EINVAL : 0;
}

static int set_idle_advance(struct settings *settings, const char *value)
{
    static const char *const words[] = { "elapsed", "wallclock", "none" };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (strcmp(value, words[i]) == 0) {
            settings->idle_advance = (enum idle_advance)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int set_align(struct settings *settings, const char *value)
{
    int64_t flag;
    int r = bool_of(value, &flag);
    if (r == 0)
        settings->align = flag;
    return r;
}

static int set_commit_interval(struct settings *settings, const char *value)
{
    int64_t *to = &settings->commit_interval_ms;
    int r = number_of(value, duration_suffixes, to);
    return r ? r : *to < 0 || *to > 60000 ? -EINVAL : 0;
}

static int set_max_record(struct settings *settings, const char *value)
{
    int64_t *to = &settings->max_record_ms;
    int r = number_of(value, duration_suffixes, to);
    return r ? r : *to < 1 || *to > DAYS_400_MS ? -EINVAL : 0;
}

static int set_state_bytes(struct settings *settings, const char *value)
{
    int64_t *to = &settings->state_bytes_max;
    int r = number_of(value, size_suffixes, to);
    return r ? r : *to < 1 << 16 || *to > INT64_C(2) << 30 ? -EINVAL : 0;
}

static int set_compression(struct settings *settings, const char *value)
{
    return codec_by_name(bytes_text(value), &settings->compression) ? 0 : -EINVAL;
}

static const struct common_key {
    const char *key, *expects;
    int (*set)(struct settings *settings, const char *value);
} common_keys[] = {
    { "start", "earliest or latest", set_start },
    { "idle.ms", "a duration from 1 to 400d, as 5000 or 5s", set_idle_ms },
    { "idle.advance", "elapsed, wallclock or none", set_idle_advance },
    { "align", "true or false", set_align },
    { "commit.interval.ms", "a duration from 0 to 60s", set_commit_interval },
    { "max.record.ms", "a duration from 1 to 400d", set_max_record },
    { "state.bytes.max", "a size from 64k to 2g", set_state_bytes },
    { "compression", "none, gzip, snappy, lz4 or zstd", set_compression },
};

/* ---- keys with names in them ----------------------------------------------------------------- */

/* Kafka's rules for topic names. */
static bool topic_valid(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= 249 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

static int set_topic(struct parse *parse, const struct setting *given, const char *declared,
    char **topics, size_t count, const char *(*name_of)(const mr_processor *, size_t))
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name_of(parse->settings->processor, i), declared) != 0)
            continue;
        if (!topic_valid(given->value))
            return refuse(parse, "%s=%s is not a topic name: 1 to 249 of a-z A-Z 0-9 . _ -",
                given->key, given->value);
        mem_free(topics[i]);
        topics[i] = mem_strdup(given->value);
        return 0;
    }
    return refuse(parse, "%s: processor '%s' declares no topic '%s'", given->key,
        parse->settings->processor->name, declared);
}

static const char *input_name(const mr_processor *processor, size_t i)
{
    return processor->inputs[i]->topic;
}

static const char *output_name(const mr_processor *processor, size_t i)
{
    return processor->outputs[i]->topic;
}

static int set_window(struct parse *parse, const struct setting *given, const char *rest)
{
    const mr_processor *processor = parse->settings->processor;
    for (size_t i = 0; i < parse->settings->window_count; i++) {
        const char *name = processor->windows[i]->name;
        size_t len = strlen(name);
        if (strncmp(rest, name, len) != 0 || rest[len] != '.')
            continue;
        struct window_spec *window = &parse->settings->windows[i];
        const char *field = rest + len + 1;
        int64_t number;
        bool top = strcmp(field, "top") == 0;
        if (number_of(given->value, top ? no_suffixes : duration_suffixes, &number))
            return refuse(parse, "%s=%s: expected a %s", given->key, given->value,
                top ? "number" : "duration, as 10000 or 10s");
        if (top && number >= 0 && number <= 100000)
            window->top = (uint32_t)number;
        else if (top)
            return refuse(parse, "%s=%s: expected 0 (all) to 100000", given->key, given->value);
        else if (strcmp(field, "size.ms") == 0)
            window->size_ms = number;
        else if (strcmp(field, "step.ms") == 0)
            window->step_ms = number;
        else if (strcmp(field, "grace.ms") == 0)
            window->grace_ms = number;
        else
            return refuse(
                parse, "%s: a window has .size.ms, .step.ms, .grace.ms and .top", given->key);
        return 0;
    }
    return refuse(parse, "%s: processor '%s' declares no such window", given->key, processor->name);
}

static int check_windows(struct parse *parse)
{
    for (size_t i = 0; i < parse->settings->window_count; i++) {
        const mr_win_decl *decl = parse->settings->processor->windows[i];
        struct window_spec *window = &parse->settings->windows[i];
        if (window->step_ms == 0 || decl->kind == MR_WIN_TUMBLE)
            window->step_ms = window->size_ms;
        if (window->size_ms < 1 || window->size_ms > DAYS_400_MS)
            return refuse(parse, "window '%s': size of %lld ms: expected 1 to 400 days", decl->name,
                (long long)window->size_ms);
        if (window->step_ms < 1 || window->step_ms > window->size_ms ||
            window->size_ms / window->step_ms > 1000)
            return refuse(parse,
                "window '%s': step of %lld ms: expected 1 to the size (%lld ms), and at most 1000 "
                "steps in a size",
                decl->name, (long long)window->step_ms, (long long)window->size_ms);
        if (window->grace_ms < 0 || window->grace_ms > DAYS_400_MS)
            return refuse(parse, "window '%s': grace of %lld ms: expected 0 to 400 days",
                decl->name, (long long)window->grace_ms);
    }
    return 0;
}

/* ---- the processor's own keys ---------------------------------------------------------------- */

static const char *type_expects(uint16_t type)
{
    static const char *const words[] = { "", "text", "a number", "true or false", "",
        "a duration, as 10000 or 10s", "a size, as 65536 or 64k" };
    return type < ARRAY_COUNT(words) ? words[type] : "";
}

static int own_number(uint16_t type, const char *text, int64_t *ret)
{
    switch (type) {
    case MR_INT: return number_of(text, no_suffixes, ret);
    case MR_BOOL: return bool_of(text, ret);
    case MR_DURATION: return number_of(text, duration_suffixes, ret);
    case MR_SIZE: return number_of(text, size_suffixes, ret);
    default: return 0;
    }
}

static int set_own(struct parse *parse, size_t i, const char *text)
{
    const mr_conf_decl *decl = parse->settings->processor->conf[i];
    struct setting_value *value = &parse->settings->values[i];
    if (own_number(decl->type, text, &value->number))
        return refuse(parse, "%s=%s: expected %s (%s)", decl->key, text, type_expects(decl->type),
            decl->help ? decl->help : "no help given");
    mem_free(value->text);
    value->text = mem_strdup(text);
    return 0;
}

/* ---- unknown keys ---------------------------------------------------------------------------- */

static int refuse_unknown(struct parse *parse, const char *key)
{
    struct nearest nearest;
    nearest_init(&nearest, key);
    for (size_t i = 0; i < parse->settings->value_count; i++)
        nearest_offer(&nearest, parse->settings->values[i].key);
    for (size_t i = 0; i < ARRAY_COUNT(common_keys); i++)
        nearest_offer(&nearest, common_keys[i].key);
    const char *name = parse->settings->processor->name;
    if (nearest.best)
        return refuse(
            parse, "processor '%s' has no key '%s'; did you mean '%s'?", name, key, nearest.best);
    return refuse(parse, "processor '%s' has no key '%s'", name, key);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int set_one(struct parse *parse, const struct setting *given)
{
    struct settings *settings = parse->settings;
    for (size_t i = 0; i < settings->value_count; i++) {
        if (strcmp(settings->values[i].key, given->key) == 0)
            return set_own(parse, i, given->value);
    }
    for (size_t i = 0; i < ARRAY_COUNT(common_keys); i++) {
        const struct common_key *common = &common_keys[i];
        if (strcmp(common->key, given->key) == 0)
            return common->set(settings, given->value)
                       ? refuse(
                             parse, "%s=%s: expected %s", given->key, given->value, common->expects)
                       : 0;
    }
    if (strncmp(given->key, "input.", 6) == 0)
        return set_topic(
            parse, given, given->key + 6, settings->inputs, settings->input_count, input_name);
    if (strncmp(given->key, "output.", 7) == 0)
        return set_topic(
            parse, given, given->key + 7, settings->outputs, settings->output_count, output_name);
    if (strncmp(given->key, "window.", 7) == 0)
        return set_window(parse, given, given->key + 7);
    return refuse_unknown(parse, given->key);
}

static void set_declared(struct settings *settings, const mr_processor *processor)
{
    *settings = (struct settings){
        .processor = processor,
        .input_count = settings_list_count((const void *const *)processor->inputs),
        .output_count = settings_list_count((const void *const *)processor->outputs),
        .store_count = settings_list_count((const void *const *)processor->stores),
        .window_count = settings_list_count((const void *const *)processor->windows),
        .value_count = settings_list_count((const void *const *)processor->conf),
        .idle_ms = 5000,
        .max_record_ms = 1000,
        .state_bytes_max = 256 << 20,
    };
    settings->inputs = mem_zalloc(settings->input_count, sizeof(char *));
    settings->outputs = mem_zalloc(settings->output_count, sizeof(char *));
    settings->windows = mem_zalloc(settings->window_count, sizeof(*settings->windows));
    settings->values = mem_zalloc(settings->value_count, sizeof(*settings->values));
    for (size_t i = 0; i < settings->input_count; i++)
        settings->inputs[i] = mem_strdup(processor->inputs[i]->topic);
    for (size_t i = 0; i < settings->output_count; i++)
        settings->outputs[i] = mem_strdup(processor->outputs[i]->topic);
    for (size_t i = 0; i < settings->window_count; i++) {
        const mr_win_decl *decl = processor->windows[i];
        settings->windows[i] = (struct window_spec){ decl->size_ms, decl->step_ms, decl->grace_ms,
            (uint32_t)decl->top };
    }
    for (size_t i = 0; i < settings->value_count; i++)
        settings->values[i].key = processor->conf[i]->key;
    for (size_t i = 0; i < settings->store_count; i++)
        settings->align |= processor->stores[i]->kind == MR_STORE_WINDOW_COUNT;
}

static int set_all(struct parse *parse, const struct setting *given, size_t given_count)
{
    struct settings *settings = parse->settings;
    for (size_t i = 0; i < settings->value_count; i++) {
        const char *text = settings->processor->conf[i]->dflt;
        int r = text ? set_own(parse, i, text) : 0;
        if (r)
            return r;
    }
    for (size_t i = 0; i < given_count; i++) {
        int r = set_one(parse, &given[i]);
        if (r)
            return r;
    }
    for (size_t i = 0; i < settings->value_count; i++) {
        if (!settings->values[i].text)
            return refuse(parse, "processor '%s' needs the key '%s': %s (%s)",
                settings->processor->name, settings->values[i].key,
                type_expects(settings->processor->conf[i]->type),
                settings->processor->conf[i]->help ? settings->processor->conf[i]->help
                                                   : "no help given");
    }
    return check_windows(parse);
}

int settings_init(struct settings *settings, const mr_processor *processor,
    const struct setting *given, size_t given_count, char *error, size_t error_size)
{
    set_declared(settings, processor);
    struct parse parse = { settings, error, error_size };
    int r = set_all(&parse, given, given_count);
    if (r)
        settings_done(settings);
    return r;
}

void settings_done(struct settings *settings)
{
    for (size_t i = 0; i < settings->input_count; i++)
        mem_free(settings->inputs[i]);
    for (size_t i = 0; i < settings->output_count; i++)
        mem_free(settings->outputs[i]);
    for (size_t i = 0; i < settings->value_count; i++)
        mem_free(settings->values[i].text);
    mem_free(settings->inputs);
    mem_free(settings->outputs);
    mem_free(settings->windows);
    mem_free(settings->values);
    *settings = (struct settings){ 0 };
}

const struct setting_value *settings_value(const struct settings *settings, const char *key)
{
    for (size_t i = 0; i < settings->value_count; i++) {
        if (strcmp(settings->values[i].key, key) == 0)
            return &settings->values[i];
    }
    return NULL;
}
