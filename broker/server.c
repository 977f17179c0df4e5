/*
 * See server.h.
 *
 * One turn of the loop is libuv's: timers, then `turn` (a uv_prepare, so it stands right before the
 * wait), then the wait and its callbacks. Sockets read and handle in their callbacks; `turn` goes
 * on with what waits, starts the commit, sends what is answered, and sets the one uv_timer to our
 * next deadline. So everything that one wait brought goes into one commit, and nothing ticks when
 * nothing happens.
 *
 * Fail-stop: when the write-ahead log fails the process says so and aborts; nothing was
 * acknowledged that is not safe.
 */
#include "broker/server.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "broker/broker.h"
#include "broker/control.h"
#include "broker/listener.h"
#include "broker/log_line.h"
#include "broker/work_uv.h"
#include "processors/workers.h"
#include "protocol/base/mem.h"

enum {
    FILES_UNKNOWN = 1024, /* the limit of open files where the system does not say it */
    FILES_MAX = 1000000,
    FILES_RESERVED = 256, /* of the limit of open files: neither sockets nor segments */
    SOCKETS_PERCENT = 45, /* of the rest */
    SEGMENTS_PERCENT = 50,
    SAY_SIZE = 1280,
    SAME_SIGNAL_MS = 500, /* a second signal this soon is the first again: a group was told */
};

struct server {
    uv_loop_t loop;
    uv_prepare_t turn;
    uv_timer_t timer;
    uv_signal_t interrupt, terminate;
    uv_poll_t disk_poll;
    bool disk_polled;
    int64_t timer_at; /* what the uv_timer is set to; INT64_MAX: it is not */

    struct broker_config *config;
    struct clock clock;
    struct timers timers;
    struct random random;
    struct buffer_pool buffers;
    struct work_uv work;
    struct workers *workers; /* threads of processors */
    uv_async_t workers_wake;
    struct doors doors;
    struct listeners listeners;
    struct control control;
    struct broker *broker;
    struct timer overdue;
    bool stopping;
    int64_t stopping_ns; /* since then */
    int status;
};

/* ---- the log ---- */

static void say(void *context, enum log_level level, const char *text)
{
    struct server *server = context;
    char line[SAY_SIZE];
    const struct broker_config *config = server->broker ? server->broker->config : server->config;
    if ((int32_t)level > config->log_level)
        return;
    size_t len = log_line_format(line, sizeof(line), clock_wall_ms(&server->clock), level, text);
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written; /* where should that be told? */
}

static void say_lines(struct server *server, const char *lines)
{
    while (*lines) {
        size_t len = strcspn(lines, "\n");
        doors_say(&server->doors, LOG_WARNING, "%.*s", (int)(len < 1000 ? len : 1000), lines);
        lines += len + (lines[len] == '\n');
    }
}

/* sd_notify(3), without its library: one datagram to NOTIFY_SOCKET. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = 0; /* abstract */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* Nobody listening is nobody's loss. */
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    (void)close(fd);
}

/* ---- the turn ---- */

static void timer_fire(uv_timer_t *timer)
{
    struct server *server = timer->data;
    server->timer_at = INT64_MAX;
    timers_run(&server->timers, clock_monotonic_ns(&server->clock));
}

static void set_timer(struct server *server)
{
    int64_t next = timers_next(&server->timers);
    if (next == server->timer_at)
        return;
    server->timer_at = next;
    if (next == INT64_MAX) {
        CHECK(uv_timer_stop(&server->timer) == 0);
        return;
    }
    int64_t wait = next - clock_monotonic_ns(&server->clock);
    uint64_t wait_ms = wait <= 0 ? 0 : (uint64_t)((wait + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS);
    uv_update_time(&server->loop);
    CHECK(uv_timer_start(&server->timer, timer_fire, wait_ms, 0) == 0);
}

static void turn(uv_prepare_t *prepare)
{
    struct server *server = prepare->data;
    struct broker *broker = server->broker;
    bool room; /* sending gave back memory that somebody waits for */
    do {
        broker_turn(broker);
        size_t answers = broker->memory.answers;
        listeners_flush(&server->listeners);
        room = broker->memory.answers < answers &&
               (!list_empty(&broker->hungry) || !list_empty(&broker->starving));
    } while (room || !list_empty(&broker->ready));
    server->doors.disk->table->flush(server->doors.disk);
    set_timer(server);
}

/* From any thread. */
static void wake_for_workers(void *context)
{
    struct server *server = context;
    CHECK(uv_async_send(&server->workers_wake) == 0);
}

static void workers_ready(uv_async_t *wake)
{
    struct server *server = wake->data;
    workers_threads_poll(server->workers);
}

static void disk_ready(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    (void)status; /* an error shows in the disk's own results */
    server->doors.disk->table->poll(server->doors.disk);
}

/* ---- stop ---- */

static void close_handles(struct server *server)
{
    uv_close((uv_handle_t *)&server->turn, NULL);
    uv_close((uv_handle_t *)&server->timer, NULL);
    uv_close((uv_handle_t *)&server->workers_wake, NULL);
    uv_close((uv_handle_t *)&server->interrupt, NULL);
    uv_close((uv_handle_t *)&server->terminate, NULL);
    if (server->disk_polled)
        uv_close((uv_handle_t *)&server->disk_poll, NULL);
}

static void broker_closed(void *context, int status)
{
    struct server *server = context;
    server->status = status;
    if (status)
        doors_say(&server->doors, LOG_ERROR, "the data directory could not be closed: %s",
            strerror(-status));
    timer_cancel(&server->timers, &server->overdue);
    listeners_close_sockets(&server->listeners); /* sends what is answered */
    if (status == -ETIMEDOUT) /* a plugin's code still runs: nothing below it may be freed */
        _exit(EXIT_FAILURE);
    control_close(&server->control);
    close_handles(server);
}

static void overdue_fire(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, overdue);
    doors_say(&server->doors, LOG_ERROR,
        "not stopped within %d s; ending now, the next start will recover", SERVER_STOP_MS / 1000);
    _exit(EXIT_FAILURE);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;
    int64_t now = clock_monotonic_ns(&server->clock);
    if (server->stopping && now - server->stopping_ns < SAME_SIGNAL_MS * CLOCK_NS_PER_MS)
        return;
    if (server->stopping) {
        doors_say(&server->doors, LOG_WARNING, "a second signal: ending at once");
        _exit(128 + number);
    }
    server->stopping = true;
    server->stopping_ns = now;
    doors_say(&server->doors, LOG_INFO, "stopping (%s)", number == SIGINT ? "SIGINT" : "SIGTERM");
    notify("STOPPING=1");
    listeners_stop(&server->listeners);
    server->overdue.fire = overdue_fire;
    timer_set(&server->timers, &server->overdue, now + SERVER_STOP_MS * CLOCK_NS_PER_MS);
    broker_close(server->broker, broker_closed, server);
}

static void broker_failed(void *context, int status, const char *what)
{
    struct server *server = context;
    doors_say(&server->doors, LOG_ERROR,
        "%s: %s. Nothing can be made safe any more, so the broker ends; the next start recovers",
        what, strerror(-status));
    abort();
}

/* ---- start ---- */

/* Few arenas, and freed memory goes back: a broker of a few megabytes stays one. */
static void tune_memory(void)
{
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
    (void)mallopt(M_TOP_PAD, 64 * 1024);
}

/* The soft limit goes up to the hard one; what of it sockets and segments may have. */
static void raise_files(uint32_t *ret_sockets, uint32_t *ret_segments)
{
    struct rlimit limit = { .rlim_max = FILES_UNKNOWN };
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        rlim_t soft = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit))
            limit.rlim_max = soft;
    }
    uint32_t files = limit.rlim_max > FILES_MAX ? FILES_MAX : (uint32_t)limit.rlim_max;
    if (files <= 2 * FILES_RESERVED) {
        *ret_sockets = *ret_segments = files / 4;
        return;
    }
    *ret_sockets = (files - FILES_RESERVED) * SOCKETS_PERCENT / 100;
    *ret_segments = (files - FILES_RESERVED) * SEGMENTS_PERCENT / 100;
}

static void seed_random(struct server *server)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = (uint64_t)clock_monotonic_ns(&server->clock) ^ (uint64_t)getpid() << 32;
    server->random = random_seeded(seed);
}

static void watch_signal(struct server *server, uv_signal_t *handle, int number)
{
    CHECK(uv_signal_init(&server->loop, handle) == 0);
    handle->data = server;
    CHECK(uv_signal_start(handle, on_signal, number) == 0);
}

static void open_handles(struct server *server)
{
    CHECK(uv_prepare_init(&server->loop, &server->turn) == 0);
    CHECK(uv_timer_init(&server->loop, &server->timer) == 0);
    CHECK(uv_async_init(&server->loop, &server->workers_wake, workers_ready) == 0);
    server->turn.data = server->timer.data = server->workers_wake.data = server;
    server->timer_at = INT64_MAX;
    watch_signal(server, &server->interrupt, SIGINT);
    watch_signal(server, &server->terminate, SIGTERM);
}

static int watch_disk(struct server *server)
{
    struct disk *disk = server->doors.disk;
    int fd = disk->table->poll_descriptor(disk);
    int status = uv_poll_init(&server->loop, &server->disk_poll, fd);
    server->disk_polled = status == 0;
    server->disk_poll.data = server;
    if (!status)
        status = uv_poll_start(&server->disk_poll, UV_READABLE, disk_ready);
    return status;
}

static int open_disk(struct server *server)
{
    enum disk_choice choice = server->config->disk;
    int status = -ENOSYS;
    if (choice != DISK_CHOICE_PLAIN)
        status = disk_uring_create(&server->doors.disk);
    if (status && choice == DISK_CHOICE_URING) {
        doors_say(&server->doors, LOG_ERROR, "disk=io_uring: %s", strerror(-status));
        return status;
    }
    if (status && choice == DISK_CHOICE_AUTO)
        doors_say(&server->doors, LOG_INFO, "no io_uring here (%s)", strerror(-status));
    if (status)
        status = disk_plain_create(&server->doors.disk);
    if (status)
        doors_say(&server->doors, LOG_ERROR, "no disk: %s", strerror(-status));
    return status;
}

static void open_doors(struct server *server)
{
    server->clock = clock_real();
    buffer_pool_init(&server->buffers, (size_t)server->config->buffers_kept_max);
    work_uv_init(&server->work, &server->loop);
    server->doors = (struct doors){
        .clock = &server->clock,
        .work = &server->work.work,
        .timers = &server->timers,
        .random = &server->random,
        .buffers = &server->buffers,
        .say = say,
        .say_context = server,
    };
    seed_random(server);
}

/* The directories above the data directory; the storage makes that itself. */
static int make_parents(const char *path)
{
    char *copy = mem_strdup(path);
    int status = 0;
    for (char *at = copy + 1; !status && (at = strchr(at, '/')); at++) {
        *at = 0;
        if (mkdir(copy, 0755) && errno != EEXIST)
            status = -errno;
        *at = '/';
    }
    mem_free(copy);
    return status;
}

/* Apache Kafka's own directory has segments like ours and other things that are not. */
static int check_dir(struct server *server)
{
    const char *dir = server->config->log_dir;
    char *foreign = mem_printf("%s/meta.properties", dir);
    bool found = access(foreign, F_OK) == 0;
    mem_free(foreign);
    if (found) {
        doors_say(&server->doors, LOG_ERROR,
            "%s is a data directory of Apache Kafka; name another with log.dirs", dir);
        return -EEXIST;
    }
    int status = make_parents(dir);
    if (status)
        doors_say(&server->doors, LOG_ERROR, "data directory %s: %s", dir, strerror(-status));
    return status;
}

static int open_broker(struct server *server)
{
    server->workers = workers_threads_create(wake_for_workers, server);
    int status = broker_open(
        &server->broker, server->config, &server->doors, server->workers, broker_failed, server);
    if (status == -EBUSY)
        doors_say(&server->doors, LOG_ERROR, "another broker has the data directory %s",
            server->config->log_dir);
    else if (status)
        doors_say(&server->doors, LOG_ERROR, "data directory %s: %s", server->config->log_dir,
            strerror(-status));
    return status;
}

static void say_start(struct server *server)
{
    static const char *const promises[] = {
        [DURABILITY_ACKS] = "an ack of acks=all means on stable media, of acks=1 on stable media "
                            "within durability.interval.ms",
        [DURABILITY_FSYNC] = "every ack means on stable media",
        [DURABILITY_INTERVAL] = "every ack means on stable media within durability.interval.ms",
        [DURABILITY_OS] = "every ack means written to the log, safe from a kill -9 but not from a "
                          "power cut (as Apache Kafka)",
    };
    enum durability mode = topic_durability(&server->config->topic_defaults);
    doors_say(&server->doors, LOG_INFO, "Millrace %s, data in %s, disk by %s", MILLRACE_VERSION,
        server->config->log_dir, server->doors.disk->table->name);
    doors_say(&server->doors, LOG_INFO, "durability: %s", promises[mode]);
}

/* In order; what was opened is undone by done(). */
static int start(struct server *server, const char *warnings)
{
    uint32_t sockets_max;
    raise_files(&sockets_max, &server->config->segment_files_max);
    open_doors(server);
    open_handles(server);
    say_lines(server, warnings);
    int status = listeners_bind(
        &server->listeners, server->config, &server->doors, &server->loop, sockets_max);
    if (!status)
        status = check_dir(server);
    if (!status)
        status = open_disk(server);
    if (!status)
        status = watch_disk(server);
    if (!status)
        status = open_broker(server);
    if (!status)
        status = uv_prepare_start(&server->turn, turn);
    if (status)
        return status;
    say_start(server);
    control_open(&server->control, &server->loop, server->broker, &server->listeners);
    return listeners_start(&server->listeners, server->broker);
}

static void done(struct server *server)
{
    control_done(&server->control);
    listeners_done(&server->listeners);
    if (server->broker)
        broker_destroy(server->broker);
    server->broker = NULL;
    workers_threads_destroy(server->workers);
    if (server->doors.disk)
        server->doors.disk->table->destroy(server->doors.disk);
    timers_done(&server->timers);
    buffer_pool_done(&server->buffers);
}

int server_run(struct broker_config *config, const char *warnings)
{
    struct server *server = mem_zalloc(1, sizeof(*server));
    server->config = config;
    tune_memory();
    (void)signal(SIGPIPE, SIG_IGN); /* sends say EPIPE instead */
    int status = uv_loop_init(&server->loop);
    CHECK(status == 0);
    status = start(server, warnings);
    if (!status) {
        notify("READY=1");
        (void)uv_run(&server->loop, UV_RUN_DEFAULT);
        status = server->status;
        doors_say(&server->doors, LOG_INFO, "stopped");
    } else {
        listeners_stop(&server->listeners);
        control_close(&server->control);
        close_handles(server);
        (void)uv_run(&server->loop, UV_RUN_DEFAULT);
    }
    done(server);
    (void)uv_loop_close(&server->loop); /* busy only after a failed start */
    mem_free(server);
    return status;
}
