/*
 * serve.c - from the words of the command line to a configuration, then to a running server.
 *
 * Options are few, so they are read by hand here; the shared option tables belong to tools/, which
 * this folder may not know.
 */
#include "broker/serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/api.h"
#include "broker/config.h"
#include "broker/server.h"
#include "broker/work_uv.h"
#include "protocol/base/mem.h"
#include "protocol/messages.h"

enum { FILE_SIZE_MAX = 4 * 1024 * 1024 };

static const char help[] =
    "Usage: millrace serve [FILE] [--set KEY=VALUE]...\n"
    "\n"
    "Run the broker. FILE is a server.properties as Apache Kafka has it; keys of the environment\n"
    "(KAFKA_NUM_PARTITIONS=4) win over it, --set wins over both.\n"
    "\n"
    "  --set KEY=VALUE       Set one key, for example --set listeners=PLAINTEXT://0.0.0.0:9092\n"
    "                        (port 0: the system picks one, and it is said).\n"
    "  --disk=HOW            auto (default), io_uring or plain.\n"
    "  --accept-loss         Open the data directory although acknowledged data in it is damaged.\n"
    "  --check-config        Read the configuration, say what is wrong with it, and end.\n"
    "  --print-config        Print every key with its value, what it does, and end.\n"
    "  --print-apis          Print the APIs of Kafka that are served or not, and end.\n"
    "  --help                Print this text.\n"
    "\n"
    "Without listeners the broker is at PLAINTEXT://127.0.0.1:9092; without log.dirs its data is "
    "in\n"
    "/var/lib/millrace (root) or ~/.local/share/millrace. SIGTERM and SIGINT stop it cleanly.\n"
    "\n"
    "Exit codes: 0 stopped cleanly, 1 failed, 2 wrong usage or configuration.\n";

enum { EXIT_WRONG = 2 };

enum action { ACTION_RUN, ACTION_CHECK, ACTION_PRINT_CONFIG, ACTION_PRINT_APIS, ACTION_HELP };

struct words {
    const char *file;
    const char **settings;
    size_t setting_count;
    const char *disk;
    bool accept_loss;
    enum action action;
};

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static int wrong(const char *what, const char *word)
{
    (void)fprintf(stderr, "millrace serve: %s '%s'\nSee: millrace serve --help\n", what, word);
    return -EINVAL;
}

/* One word, or two of them (--set KEY=VALUE): *at moves. */
static int take_word(struct words *words, int argc, char **argv, int *at)
{
    const char *word = argv[(*at)++];
    bool last = *at == argc;
    if (strcmp(word, "--set") == 0 && last)
        return wrong("KEY=VALUE is missing behind", word);
    if (strcmp(word, "--set") == 0)
        words->settings[words->setting_count++] = argv[(*at)++];
    else if (starts(word, "--set="))
        words->settings[words->setting_count++] = word + sizeof("--set=") - 1;
    else if (strcmp(word, "--disk") == 0 && !last)
        words->disk = argv[(*at)++];
    else if (starts(word, "--disk="))
        words->disk = word + sizeof("--disk=") - 1;
    else if (strcmp(word, "--accept-loss") == 0)
        words->accept_loss = true;
    else if (strcmp(word, "--check-config") == 0)
        words->action = ACTION_CHECK;
    else if (strcmp(word, "--print-config") == 0)
        words->action = ACTION_PRINT_CONFIG;
    else if (strcmp(word, "--print-apis") == 0)
        words->action = ACTION_PRINT_APIS;
    else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        words->action = ACTION_HELP;
    else if (word[0] == '-')
        return wrong("no option", word);
    else if (words->file)
        return wrong("only one FILE, and this is a second:", word);
    else
        words->file = word;
    return 0;
}

/* ---- configuration ---- */

static int read_file(const char *path, struct out *text)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return -errno;
    int status = 0;
    size_t len;
    do {
        uint8_t *to = out_add(text, 16384);
        len = fread(to, 1, 16384, file);
        text->len -= 16384 - len;
        if (text->len > FILE_SIZE_MAX)
            status = -EFBIG;
    } while (len > 0 && !status);
    if (ferror(file))
        status = -EIO;
    (void)fclose(file); /* it was only read */
    return status;
}

/* The number in a cgroup's file; INT64_MAX if there is none, or no limit. */
static int64_t memory_limit_in(const char *path)
{
    struct out text = { 0 };
    int64_t limit = 0;
    if (read_file(path, &text) == 0 && text.len > 0) {
        out_bytes(&text, "", 1);
        limit = strtoll((const char *)text.data, NULL, 10); /* "max" is 0 */
    }
    out_done(&text);
    return limit > 0 && limit < INT64_C(1) << 50 ? limit : INT64_MAX;
}

/* The least limit of a group and all above it: ROOT/a/b/FILE, ROOT/a/FILE, ROOT/FILE. */
static int64_t memory_limit_of(const char *root, char *group, const char *file)
{
    int64_t least = INT64_MAX;
    for (;;) {
        char *path = mem_printf("%s%s/%s", root, group, file);
        int64_t limit = memory_limit_in(path);
        mem_free(path);
        if (limit < least)
            least = limit;
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = 0;
    }
}

/* What cgroups allow this process: the least of the limits, 0 if there is none. Inside of a
 * container the root is the container's own, and the names of its groups may not exist. */
static int64_t memory_available(void)
{
    struct out text = { 0 };
    int64_t least = INT64_MAX;
    (void)!read_file("/proc/self/cgroup", &text); /* without it there is the root */
    out_text(&text, "\n0::/\n0:memory:/\n");
    out_bytes(&text, "", 1);
    char *rest = (char *)text.data;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        int64_t limit = INT64_MAX;
        if (!group)
            continue;
        *group++ = 0;
        if (controllers[1] == 0)
            limit = memory_limit_of("/sys/fs/cgroup", group, "memory.max");
        else if (strstr(controllers, "memory"))
            limit = memory_limit_of("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
        if (limit < least)
            least = limit;
    }
    out_done(&text);
    return least == INT64_MAX ? 0 : least;
}

static void set_all(
    struct broker_config *config, const struct words *words, struct config_report *report)
{
    if (words->file) {
        struct out text = { 0 };
        int status = read_file(words->file, &text);
        if (status)
            out_printf(&report->errors, "%s: %s\n", words->file, strerror(-status));
        else
            broker_config_set_properties(
                config, words->file, bytes_of(text.data, text.len), report);
        out_done(&text);
    }
    broker_config_set_environment(config, (const char *const *)environ, report);
    for (size_t i = 0; i < words->setting_count; i++)
        broker_config_set_option(config, words->settings[i], report);
    if (words->disk)
        broker_config_set(config, CONFIG_FROM_OPTION, "--disk", bytes_text("disk"),
            bytes_text(words->disk), report);
}

/* 0, or what is wrong has been printed. */
static int configure(
    struct broker_config *config, const struct words *words, struct config_report *report)
{
    struct config_place place = {
        .memory_available = memory_available(),
        .home = getenv("HOME"),
        .root = geteuid() == 0,
    };
    broker_config_init(config);
    set_all(config, words, report);
    if (report->errors.len == 0)
        broker_config_finish(config, &place, report);
    config->accept_loss = words->accept_loss;
    out_bytes(&report->warnings, "", 1);
    if (report->errors.len == 0)
        return 0;
    (void)fwrite(report->errors.data, 1, report->errors.len, stderr);
    return -EINVAL;
}

/* ---- tables ---- */

static const char *effect_text(const struct config_key *key)
{
    switch (config_key_effect(key)) {
    case CONFIG_OBEYED: return "obeyed";
    case CONFIG_WITHOUT_EFFECT: return "without effect";
    case CONFIG_REFUSED: break;
    }
    return "refused";
}

static void print_config(const struct broker_config *config)
{
    static const char *const sources[] = { "default", "file", "environment", "--set" };
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        enum config_source source;
        const char *value = broker_config_value(config, &keys[i], &source);
        if (value && config_key_sensitive(&keys[i]))
            value = "(hidden)";
        (void)printf("%s=%s\n    %s, %s%s. %s\n", keys[i].name, value ? value : "", sources[source],
            effect_text(&keys[i]),
            config_key_dynamic(&keys[i]) ? ", may be changed at run time" : "", keys[i].doc);
    }
}

static void print_apis(void)
{
    size_t count;
    const struct api *table = api_table(&count);
    (void)printf("%-4s %-28s %-8s %s\n", "KEY", "API", "SERVED", "ADVERTISED");
    for (size_t i = 0; i < count; i++) {
        const struct api_schema *schema = api_schema_find(table[i].key);
        char served[16];
        (void)snprintf(served, sizeof(served), "%d-%d", schema->served.min, schema->served.max);
        (void)printf("%-4d %-28s %-8s %d-%d\n", schema->key, schema->name, served,
            schema->advertised.min, schema->advertised.max);
    }
    const struct absent_api *absent = absent_apis(&count);
    (void)printf("\n%-4s %-28s %s\n", "KEY", "NOT OFFERED", "WHY");
    for (size_t i = 0; i < count; i++)
        (void)printf("%-4d %-28s %s\n", absent[i].key, absent[i].name, absent[i].why);
}

static int end_of_print(void)
{
    if (fflush(stdout) == 0)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "millrace serve: cannot write the output: %s\n", strerror(errno));
    return EXIT_FAILURE;
}

/* ---- run ---- */

static int configured(const struct words *words)
{
    struct broker_config config;
    struct config_report report = { 0 };
    int code = EXIT_WRONG;
    if (configure(&config, words, &report) == 0) {
        const char *warnings = (const char *)report.warnings.data;
        if (words->action == ACTION_RUN) {
            code = server_run(&config, warnings) ? EXIT_FAILURE : EXIT_SUCCESS;
        } else {
            if (words->action == ACTION_PRINT_CONFIG)
                print_config(&config);
            else
                (void)fputs(warnings, stderr);
            code = end_of_print();
        }
    }
    config_report_done(&report);
    broker_config_done(&config);
    return code;
}

int serve_main(int argc, char **argv)
{
    struct words words = { 0 };
    int status = 0, code;
    words.settings = mem_zalloc((size_t)argc + 1, sizeof(*words.settings));
    for (int at = 1; !status && at < argc;)
        status = take_word(&words, argc, argv, &at);
    if (status) {
        code = EXIT_WRONG;
    } else if (words.action == ACTION_HELP) {
        (void)fputs(help, stdout);
        code = end_of_print();
    } else if (words.action == ACTION_PRINT_APIS) {
        print_apis();
        code = end_of_print();
    } else {
        code = configured(&words);
    }
    mem_free(words.settings);
    return code;
}
