/*
 * The checks of a module, from the outside in. See module.h.
 *
 * A place is named by the path to it: "processor 'hashtags': store 2 ('counts')".
 */
#include "processors/module.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "processors/settings.h"

enum { STRUCT_SIZE_MAX = 4096, TOPIC_MAX = 249 };
#define DAYS_400_MS (INT64_C(400) * 24 * 3600 * 1000)

struct look {
    char place[256];
    char *error;
    size_t error_size;
};

PRINTF_LIKE(2, 3)
static void look_at(struct look *look, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(look->place, sizeof(look->place), format, args);
    va_end(args);
}

PRINTF_LIKE(2, 3)
static int refuse(struct look *look, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)snprintf(look->error, look->error_size, "%s: %s", look->place, text);
    return -EINVAL;
}

static int check_size(struct look *look, const void *object, uint32_t size, size_t known)
{
    if (size < known)
        return refuse(look,
            "its struct has %u bytes, this host knows %zu: built with another "
            "millrace/processor.h; compile it with the one of this version",
            size, known);
    if (size > STRUCT_SIZE_MAX)
        return refuse(look, "its struct claims %u bytes", size);
    const uint8_t *bytes = object;
    for (size_t i = known; i < size; i++) {
        if (bytes[i])
            return refuse(look, "it uses something newer than this host (version %d.%d)",
                MR_ABI_MAJOR, MR_ABI_MINOR);
    }
    return 0;
}

static bool name_valid(const char *name, size_t max)
{
    if (!name)
        return false;
    size_t len = strnlen(name, max + 1);
    return len >= 1 && len <= max && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

static int check_name(struct look *look, const char *what, const char *name, size_t max)
{
    if (!name_valid(name, max))
        return refuse(look, "its %s is missing or not 1 to %zu of a-z A-Z 0-9 . _ -", what, max);
    return 0;
}

static int check_count(struct look *look, const char *what, const void *const *list, size_t max)
{
    size_t count = settings_list_count(list);
    if (count > max)
        return refuse(look, "it declares %zu %s, at most %zu are allowed", count, what, max);
    return 0;
}

/* ---- declarations ---------------------------------------------------------------------------- */

static int check_input(struct look *look, const mr_in_decl *input)
{
    int r = check_size(look, input, input->size, sizeof(*input));
    if (r == 0)
        r = check_name(look, "topic", input->topic, TOPIC_MAX);
    if (r)
        return r;
    if (input->role != MR_IN_STREAM)
        return refuse(look, "role %u (tables and global tables) is not implemented by this host",
            input->role);
    if (input->flags & ~(uint32_t)(MR_IN_EVENT_TIME | MR_IN_COPARTITION | MR_IN_HEADERS))
        return refuse(look, "flags 0x%x are not known to this host", input->flags);
    if (input->store || input->rsv)
        return refuse(look, "its reserved members are not zero");
    return 0;
}

static int check_output(struct look *look, const mr_out_decl *output)
{
    int r = check_size(look, output, output->size, sizeof(*output));
    if (r == 0)
        r = check_name(look, "topic", output->topic, TOPIC_MAX);
    if (r)
        return r;
    if (output->flags || output->rsv)
        return refuse(look, "flags 0x%x are not known to this host", output->flags);
    if (output->partitions < 0 || output->partitions > 10000)
        return refuse(
            look, "%d partitions: expected 0 (the broker's default) to 10000", output->partitions);
    return 0;
}

static int check_window(struct look *look, const mr_win_decl *window)
{
    int r = check_size(look, window, window->size, sizeof(*window));
    if (r == 0)
        r = check_name(look, "name", window->name, MODULE_NAME_MAX);
    if (r)
        return r;
    if (window->kind != MR_WIN_TUMBLE && window->kind != MR_WIN_HOP)
        return refuse(look,
            "window kind %u%s is not implemented by this host; it has tumbling (1) and hopping "
            "(2) windows",
            window->kind,
            window->kind == 3   ? " (session)"
            : window->kind == 4 ? " (sliding)"
                                : "");
    if (window->emit != MR_EMIT_FINAL || window->every_ms)
        return refuse(look,
            "early results (emit %u) are not implemented by this host; use "
            "MR_EMIT_FINAL",
            window->emit);
    if (window->size_ms < 1 || window->size_ms > DAYS_400_MS || window->step_ms < 0 ||
        window->step_ms > window->size_ms || window->grace_ms < 0 ||
        window->grace_ms > DAYS_400_MS || window->top < 0 || window->top > 100000)
        return refuse(look, "size, step, grace or top is out of range (see millrace/processor.h)");
    if (window->kind == MR_WIN_TUMBLE && window->step_ms && window->step_ms != window->size_ms)
        return refuse(look, "a tumbling window's step is 0 or its size");
    return 0;
}

static int check_store(struct look *look, const mr_processor *processor, const mr_store_decl *store)
{
    int r = check_size(look, store, store->size, sizeof(*store));
    if (r == 0)
        r = check_name(look, "name", store->name, MODULE_NAME_MAX);
    if (r)
        return r;
    if (store->flags || store->rsv)
        return refuse(look, "flags 0x%x are not known to this host", store->flags);
    if (store->ttl_ms)
        return refuse(look, "ttl_ms is not implemented by this host");
    bool windowed = store->kind == MR_STORE_WINDOW_COUNT;
    if (store->kind != MR_STORE_KV && store->kind != MR_STORE_COUNT && !windowed)
        return refuse(look,
            "store kind %u is not implemented by this host; it has MR_STORE_KV, MR_STORE_COUNT and "
            "MR_STORE_WINDOW_COUNT",
            store->kind);
    if (!windowed)
        return store->window ? refuse(look, "only a window store has a window") : 0;
    if (store->window >= settings_list_count((const void *const *)processor->windows))
        return refuse(look, "window %u is not declared", store->window);
    if (!processor->window)
        return refuse(look, "a window store needs the callback `window`");
    return 0;
}

static int check_conf(struct look *look, const mr_conf_decl *conf)
{
    int r = check_size(look, conf, conf->size, sizeof(*conf));
    if (r == 0)
        r = check_name(look, "key", conf->key, MODULE_NAME_MAX);
    if (r)
        return r;
    if (conf->type < MR_STR || conf->type > MR_SIZE || conf->type == 4)
        return refuse(look, "type %u is not implemented by this host", conf->type);
    if (conf->flags)
        return refuse(look, "flags 0x%x are not known to this host", conf->flags);
    return 0;
}

/* ---- a processor ----------------------------------------------------------------------------- */

static const char *shown(const char *name)
{
    return name_valid(name, TOPIC_MAX) ? name : "?";
}

static int check_topics(struct look *look, const mr_processor *processor)
{
    int r = 0;
    for (size_t i = 0; r == 0 && processor->inputs[i]; i++) {
        look_at(look, "processor '%s': input %zu", processor->name, i);
        r = check_input(look, processor->inputs[i]);
        for (size_t j = 0; r == 0 && j < i; j++) {
            if (strcmp(processor->inputs[i]->topic, processor->inputs[j]->topic) == 0)
                r = refuse(look, "topic '%s' is declared twice", processor->inputs[i]->topic);
        }
    }
    for (size_t i = 0; r == 0 && processor->outputs && processor->outputs[i]; i++) {
        look_at(look, "processor '%s': output %zu", processor->name, i);
        r = check_output(look, processor->outputs[i]);
        for (size_t j = 0; r == 0 && j < i; j++) {
            if (strcmp(processor->outputs[i]->topic, processor->outputs[j]->topic) == 0)
                r = refuse(look, "topic '%s' is declared twice", processor->outputs[i]->topic);
        }
    }
    return r;
}

static int check_state(struct look *look, const mr_processor *processor)
{
    int r = 0;
    for (size_t i = 0; r == 0 && processor->windows && processor->windows[i]; i++) {
        look_at(look, "processor '%s': window %zu ('%s')", processor->name, i,
            shown(processor->windows[i]->name));
        r = check_window(look, processor->windows[i]);
        for (size_t j = 0; r == 0 && j < i; j++) {
            if (strcmp(processor->windows[i]->name, processor->windows[j]->name) == 0)
                r = refuse(look, "the name is taken by window %zu", j);
        }
    }
    for (size_t i = 0; r == 0 && processor->stores && processor->stores[i]; i++) {
        look_at(look, "processor '%s': store %zu ('%s')", processor->name, i,
            shown(processor->stores[i]->name));
        r = check_store(look, processor, processor->stores[i]);
        for (size_t j = 0; r == 0 && j < i; j++) {
            if (strcmp(processor->stores[i]->name, processor->stores[j]->name) == 0)
                r = refuse(look, "the name is taken by store %zu", j);
        }
    }
    for (size_t i = 0; r == 0 && processor->conf && processor->conf[i]; i++) {
        look_at(look, "processor '%s': configuration key %zu ('%s')", processor->name, i,
            shown(processor->conf[i]->key));
        r = check_conf(look, processor->conf[i]);
    }
    return r;
}

static int check_processor(struct look *look, const mr_processor *processor, size_t index)
{
    look_at(look, "processor %zu", index);
    int r = check_size(look, processor, processor->size, sizeof(*processor));
    if (r == 0)
        r = check_name(look, "name", processor->name, MODULE_NAME_MAX);
    if (r)
        return r;
    look_at(look, "processor '%s'", processor->name);
    if (processor->flags & ~(uint32_t)MR_P_ONE_TASK)
        return refuse(look, "flags 0x%x are not known to this host", processor->flags);
    if (!processor->batch)
        return refuse(look, "the callback `batch` is missing");
    if (!processor->inputs || !processor->inputs[0])
        return refuse(look, "it declares no input");
    const struct {
        const char *what;
        const void *const *list;
        size_t max;
    } lists[] = {
        { "inputs", (const void *const *)processor->inputs, MODULE_TOPICS_MAX },
        { "outputs", (const void *const *)processor->outputs, MODULE_TOPICS_MAX },
        { "stores", (const void *const *)processor->stores, MODULE_STORES_MAX },
        { "windows", (const void *const *)processor->windows, MODULE_WINDOWS_MAX },
        { "configuration keys", (const void *const *)processor->conf, MODULE_CONF_MAX },
    };
    for (size_t i = 0; r == 0 && i < ARRAY_COUNT(lists); i++)
        r = check_count(look, lists[i].what, lists[i].list, lists[i].max);
    if (r == 0)
        r = check_topics(look, processor);
    return r ? r : check_state(look, processor);
}

static int check_version(struct look *look, const mr_module *module)
{
    if (module->magic != MR_MAGIC)
        return refuse(look,
            "magic 0x%08x, expected 0x%08x: " MR_ENTRY " does not return a "
            "mr_module",
            module->magic, MR_MAGIC);
    if (module->major != MR_ABI_MAJOR)
        return refuse(look,
            "built for version %u of millrace/processor.h, this host has version %d; compile it "
            "with the header of this version",
            module->major, MR_ABI_MAJOR);
    if (module->needs_minor > MR_ABI_MINOR)
        return refuse(look, "it needs a host of version %u.%u or newer, this is %d.%d",
            module->major, module->needs_minor, MR_ABI_MAJOR, MR_ABI_MINOR);
    return check_size(look, module, module->size, sizeof(*module));
}

int module_check(const mr_module *module, char *error, size_t error_size)
{
    struct look look = { .place = "module", .error = error, .error_size = error_size };
    if (!module)
        return refuse(&look, MR_ENTRY " returned NULL");
    int r = check_version(&look, module);
    if (r)
        return r;
    if (module->needs_ext && module->needs_ext[0])
        return refuse(&look, "it needs the extension '%.100s', which this host does not have",
            module->needs_ext[0]);
    size_t count = settings_list_count((const void *const *)module->processors);
    if (count < 1 || count > MODULE_PROCESSORS_MAX)
        return refuse(
            &look, "it has %zu processors, expected 1 to %d", count, MODULE_PROCESSORS_MAX);
    for (size_t i = 0; i < count; i++) {
        r = check_processor(&look, module->processors[i], i);
        for (size_t j = 0; r == 0 && j < i; j++) {
            if (strcmp(module->processors[i]->name, module->processors[j]->name) == 0)
                r = refuse(&look, "the name is taken by processor %zu", j);
        }
        if (r)
            return r;
    }
    return 0;
}

const mr_processor *module_processor(const mr_module *module, const char *name)
{
    const mr_processor *const *all = module->processors;
    if (!name)
        return all[1] ? NULL : all[0];
    for (size_t i = 0; all[i]; i++) {
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    }
    return NULL;
}
