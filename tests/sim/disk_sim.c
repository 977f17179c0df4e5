/*
 * The simulated disk: what is seen, what is on the medium, and what a crash leaves of the
 * difference.
 *
 * A file (inode) has `seen` bytes and `medium` bytes and one mark per 512-byte sector that differs.
 * A name (directory entry) is seen, on the medium, or both; unlink of a name keeps the inode while
 * the medium still knows it. Directories are names without an inode.
 *
 *   blocking write    → seen; sectors marked
 *   sync              → medium := seen, marks cleared (an injected error clears the marks only:
 * ext4) asynchronous op   → takes effect when it finishes; in flight at a crash: any subset of its
 * sectors durable write     → its range on the medium; without `fua` the whole disk's cache is
 * flushed with it sync_dir          → names of that directory: medium := seen
 *
 * Invariant: the medium holds nothing that was never seen.
 */
#include "tests/sim/disk_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "protocol/base/mem.h"

struct inode {
    struct list link; /* sim->files, in creation order */
    uint8_t *seen, *medium, *marks;
    uint64_t seen_size, medium_size, capacity;
    uint32_t references; /* names on either side, and open files */
    bool locked, direct; /* direct: how it was opened last */
    uint64_t id;
    uint64_t errors;    /* of syncs; as Linux' errseq_t, each open file hears of each */
    struct inode *copy; /* while an image is made */
};

struct name {
    struct list link; /* sim->names, in creation order */
    char *path;
    struct inode *seen, *medium; /* NULL: not there; directories use `directory` */
    bool directory, seen_directory, medium_directory;
};

struct disk_file {
    struct disk *disk; /* first, as disk.h says */
    struct list link;
    struct inode *inode;
    bool writable, direct, holds_lock;
    uint64_t errors; /* of the inode, that it heard of */
};

struct pending_op {
    struct list link;
    struct disk_op *op;
    int64_t at_ns;
    uint64_t id;
};

static struct sim *sim_of(struct disk *disk)
{
    return container_of(disk, struct sim, disk);
}

/* Every blocking call passes here: counts down to the crash inside a job or a recovery. */
static int call_begin(struct sim *sim)
{
    if (sim->crash_after == 0)
        sim->dead = true;
    if (sim->dead)
        return -EIO;
    if (sim->crash_after > 0)
        sim->crash_after--;
    return 0;
}

static bool hit(struct sim *sim, uint32_t chance, uint64_t *counter)
{
    if (!chance || !random_chance(&sim->random, chance, 10000))
        return false;
    (*counter)++;
    return true;
}

/* ---- inodes and names ---- */

static struct inode *inode_create(struct sim *sim)
{
    struct inode *inode = mem_zalloc(1, sizeof(*inode));
    inode->id = sim->next_id++;
    list_append(&sim->files, &inode->link);
    return inode;
}

static struct inode *inode_ref(struct inode *inode)
{
    inode->references++;
    return inode;
}

static void inode_unref(struct inode *inode)
{
    if (!inode || --inode->references > 0)
        return;
    list_remove(&inode->link);
    mem_free(inode->seen);
    mem_free(inode->medium);
    mem_free(inode->marks);
    mem_free(inode);
}

static void inode_reserve(struct inode *inode, uint64_t size)
{
    if (size <= inode->capacity)
        return;
    uint64_t next = inode->capacity ? inode->capacity : 4096;
    while (next < size)
        next *= 2;
    inode->seen = mem_realloc(inode->seen, next);
    inode->medium = mem_realloc(inode->medium, next);
    inode->marks = mem_realloc(inode->marks, next / SIM_SECTOR);
    memset(inode->seen + inode->capacity, 0, next - inode->capacity);
    memset(inode->medium + inode->capacity, 0, next - inode->capacity);
    memset(inode->marks + inode->capacity / SIM_SECTOR, 0, (next - inode->capacity) / SIM_SECTOR);
    inode->capacity = next;
}

static void inode_write(struct inode *inode, uint64_t position, const void *data, uint64_t len)
{
    if (len == 0)
        return;
    inode_reserve(inode, position + len);
    memcpy(inode->seen + position, data, len);
    memset(inode->marks + position / SIM_SECTOR, 1,
        (position + len - 1) / SIM_SECTOR - position / SIM_SECTOR + 1);
    if (position + len > inode->seen_size)
        inode->seen_size = position + len;
}

static void sector_settle(struct inode *inode, uint64_t sector)
{
    memcpy(inode->medium + sector * SIM_SECTOR, inode->seen + sector * SIM_SECTOR, SIM_SECTOR);
    inode->marks[sector] = 0;
}

static void inode_settle_range(struct inode *inode, uint64_t position, uint64_t len)
{
    for (uint64_t s = position / SIM_SECTOR; s * SIM_SECTOR < position + len; s++)
        sector_settle(inode, s);
    if (position + len > inode->medium_size)
        inode->medium_size = position + len;
}

static void inode_settle(struct inode *inode)
{
    for (uint64_t s = 0; s < inode->capacity / SIM_SECTOR; s++) {
        if (inode->marks[s])
            sector_settle(inode, s);
    }
    inode->medium_size = inode->seen_size;
}

/* Does it survive the crash? */
static bool survives(struct sim *sim)
{
    if (!sim->pattern_on || sim->decisions >= 64) {
        sim->decisions += sim->pattern_on;
        return random_chance(&sim->random, 1, 2);
    }
    return sim->pattern >> sim->decisions++ & 1;
}

static struct name *name_find(struct sim *sim, const char *path)
{
    list_foreach (node, &sim->names) {
        struct name *name = list_entry(node, struct name, link);
        if (strcmp(name->path, path) == 0)
            return name;
    }
    return NULL;
}

static struct name *name_make(struct sim *sim, const char *path)
{
    struct name *name = name_find(sim, path);
    if (name)
        return name;
    name = mem_zalloc(1, sizeof(*name));
    name->path = mem_strdup(path);
    list_append(&sim->names, &name->link);
    return name;
}

static void name_drop_if_gone(struct name *name)
{
    if (name->seen || name->medium || name->seen_directory || name->medium_directory)
        return;
    list_remove(&name->link);
    mem_free(name->path);
    mem_free(name);
}

static void name_see(struct name *name, struct inode *inode)
{
    struct inode *old = name->seen;
    name->seen = inode ? inode_ref(inode) : NULL;
    inode_unref(old);
}

static void name_settle(struct name *name)
{
    struct inode *old = name->medium;
    name->medium = name->seen ? inode_ref(name->seen) : NULL;
    inode_unref(old);
    name->medium_directory = name->seen_directory;
}

static bool name_differs(const struct name *name)
{
    return name->seen != name->medium || name->seen_directory != name->medium_directory;
}

/* Is `path` an entry of directory `parent`? Gives the entry's own name. */
static const char *entry_of(const char *path, const char *parent)
{
    size_t len = strlen(parent);
    while (len > 0 && parent[len - 1] == '/') /* of "/" nothing stays */
        len--;
    if (strncmp(path, parent, len) != 0 || path[len] != '/')
        return NULL;
    const char *entry = path + len + 1;
    return *entry && !strchr(entry, '/') ? entry : NULL;
}

static bool parent_is_there(struct sim *sim, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return true;
    char *parent = mem_strndup(path, (size_t)(slash - path));
    struct name *name = name_find(sim, parent);
    /* The directory above the first mkdir is the test's and always there. */
    bool root = !strchr(parent + 1, '/');
    mem_free(parent);
    return root || (name && name->seen_directory);
}

/* ---- blocking calls ---- */

static int sim_open(struct disk *disk, const char *path, int flags, struct disk_file **ret_file)
{
    struct sim *sim = sim_of(disk);
    int status = call_begin(sim);
    if (status < 0)
        return status;
    struct name *name = name_find(sim, path);
    if (name && name->seen_directory)
        return -EISDIR;
    if ((!name || !name->seen) && (!(flags & DISK_CREATE) || !parent_is_there(sim, path)))
        return -ENOENT;
    if (name && name->seen && (flags & DISK_EXCLUSIVE))
        return -EEXIST;
    if (!name || !name->seen) {
        name = name_make(sim, path);
        name_see(name, inode_create(sim));
    }
    struct disk_file *file = mem_zalloc(1, sizeof(*file));
    file->disk = disk;
    file->inode = inode_ref(name->seen);
    file->errors = file->inode->errors;
    file->writable = flags & DISK_WRITE;
    file->direct = file->inode->direct = (flags & DISK_DIRECT) && !sim->faults.no_direct;
    if ((flags & DISK_TRUNCATE) && file->inode->seen_size) {
        memset(file->inode->seen, 0, file->inode->seen_size);
        memset(file->inode->marks, 1, (file->inode->seen_size + SIM_SECTOR - 1) / SIM_SECTOR);
        file->inode->seen_size = 0;
    }
    sim->open_files++;
    *ret_file = file;
    return 0;
}

static void sim_close(struct disk_file *file)
{
    if (!file)
        return;
    if (file->holds_lock)
        file->inode->locked = false;
    sim_of(file->disk)->open_files--;
    inode_unref(file->inode);
    mem_free(file);
}

static int sim_mkdir(struct disk *disk, const char *path)
{
    struct sim *sim = sim_of(disk);
    int status = call_begin(sim);
    if (status < 0)
        return status;
    struct name *name = name_find(sim, path);
    if (name && (name->seen || name->seen_directory))
        return -EEXIST;
    if (!parent_is_there(sim, path))
        return -ENOENT;
    name = name_make(sim, path);
    name->seen_directory = true;
    sim->top_made |= !strchr(path + 1, '/');
    return 0;
}

static int sim_list(struct disk *disk, const char *path,
    void (*each)(void *context, const char *name), void *context)
{
    struct sim *sim = sim_of(disk);
    int status = call_begin(sim);
    if (status < 0)
        return status;
    struct name *directory = name_find(sim, path);
    if (!directory || !directory->seen_directory)
        return -ENOENT;
    list_foreach_safe (node, following, &sim->names) {
        struct name *name = list_entry(node, struct name, link);
        const char *entry = entry_of(name->path, path);
        if (entry && (name->seen || name->seen_directory))
            each(context, entry);
    }
    return 0;
}

static int sim_read(
    struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len)
{
    struct sim *sim = sim_of(file->disk);
    int status = call_begin(sim);
    if (status < 0)
        return status;
    sim->counts.reads++;
    if (hit(sim, sim->faults.read_error, &sim->counts.read_errors))
        return -EIO;
    uint64_t size = file->inode->seen_size;
    uint64_t there = position < size ? size - position : 0;
    *ret_len = there < len ? there : len;
    if (*ret_len)
        memcpy(to, file->inode->seen + position, *ret_len);
    return 0;
}

static int sim_read_nowait(
    struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len)
{
    struct sim *sim = sim_of(file->disk);
    if (hit(sim, sim->faults.cold_read, &sim->counts.cold_reads))
        return -EAGAIN;
    return sim_read(file, position, to, len, ret_len);
}

static uint64_t bytes_seen(const struct sim *sim)
{
    uint64_t sum = 0;
    list_foreach (node, &sim->files)
        sum += list_entry(node, struct inode, link)->seen_size;
    return sum;
}

static bool is_full(struct sim *sim, const struct inode *inode, uint64_t end)
{
    if (!sim->faults.capacity || end <= inode->seen_size)
        return false;
    if (bytes_seen(sim) + end - inode->seen_size <= sim->faults.capacity)
        return false;
    sim->counts.no_space++;
    return true;
}

static int write_fault(struct sim *sim, struct disk_file *file, uint64_t end)
{
    CHECK(file->writable);
    sim->counts.writes++;
    if (is_full(sim, file->inode, end))
        return -ENOSPC;
    if (hit(sim, sim->faults.no_space, &sim->counts.no_space))
        return -ENOSPC;
    if (hit(sim, sim->faults.write_error, &sim->counts.write_errors))
        return -EIO;
    return 0;
}

static int sim_writev(
    struct disk_file *file, uint64_t position, const struct iovec *iov, int iov_count)
{
    struct sim *sim = sim_of(file->disk);
    int status = call_begin(sim);
    if (status < 0)
        return status;
    uint64_t len = 0;
    for (int i = 0; i < iov_count; i++)
        len += iov[i].iov_len;
    status = write_fault(sim, file, position + len);
    /* A failed write leaves a part of it, as a real one may. */
    uint64_t keep = status < 0 && len ? random_below(&sim->random, len) : len;
    for (int i = 0; i < iov_count && keep; i++) {
        uint64_t part = iov[i].iov_len < keep ? iov[i].iov_len : keep;
        inode_write(file->inode, position, iov[i].iov_base, part);
        position += part;
        keep -= part;
    }
    return status;
}

static int sim_fallocate(struct disk_file *file, uint64_t position, uint64_t len)
{
    struct sim *sim = sim_of(file->disk);
    int status = call_begin(sim);
    if (status < 0)
        return status;
    if (sim->faults.no_fallocate)
        return -EOPNOTSUPP;
    if (is_full(sim, file->inode, position + len) ||
        hit(sim, sim->faults.no_space, &sim->counts.no_space))
        return -ENOSPC;
    return 0;
}

static int sim_truncate(struct disk_file *file, uint64_t size)
{
    struct sim *sim = sim_of(file->disk);
    int status = call_begin(sim);
    if (status < 0)
        return status;
    struct inode *inode = file->inode;
    inode_reserve(inode, size);
    if (size < inode->seen_size) {
        memset(inode->seen + size, 0, inode->seen_size - size);
        memset(inode->marks + size / SIM_SECTOR, 1,
            (inode->seen_size - 1) / SIM_SECTOR - size / SIM_SECTOR + 1);
    }
    inode->seen_size = size;
    return 0;
}

static int sim_size(struct disk_file *file, uint64_t *ret_size)
{
    int status = call_begin(sim_of(file->disk));
    if (status == 0)
        *ret_size = file->inode->seen_size;
    return status;
}

/* Buffered: as ext4 does, the pages are clean now and what they say stays seen as long as the
 * machine runs; the next sync has nothing to do. Direct: the device took some sectors, and of the
 * others it gives back the old ones. */
static void sync_spoil(struct sim *sim, struct inode *inode)
{
    inode->errors++;
    for (uint64_t s = 0; s < inode->capacity / SIM_SECTOR; s++) {
        if (!inode->marks[s])
            continue;
        inode->marks[s] = 0;
        if (random_chance(&sim->random, 1, 2))
            sector_settle(inode, s);
        else if (inode->direct)
            memcpy(inode->seen + s * SIM_SECTOR, inode->medium + s * SIM_SECTOR, SIM_SECTOR);
    }
}

static int file_sync(struct sim *sim, struct inode *inode)
{
    sim->counts.syncs++;
    if (hit(sim, sim->faults.sync_error, &sim->counts.sync_errors)) {
        sync_spoil(sim, inode);
        return -EIO;
    }
    if (hit(sim, sim->faults.sync_no_space, &sim->counts.sync_no_space)) {
        sync_spoil(sim, inode);
        return -ENOSPC;
    }
    if (!sim->faults.skip_sync)
        inode_settle(inode);
    return 0;
}

static int error_heard(struct disk_file *file)
{
    bool news = file->errors < file->inode->errors;
    file->errors = file->inode->errors;
    return news ? -EIO : 0;
}

static int handle_sync(struct disk_file *file)
{
    int status = file_sync(sim_of(file->disk), file->inode);
    return error_heard(file) < 0 && status == 0 ? -EIO : status;
}

static int sim_sync(struct disk_file *file)
{
    int status = call_begin(sim_of(file->disk));
    return status < 0 ? status : handle_sync(file);
}

static int sim_sync_dir(struct disk *disk, const char *path)
{
    struct sim *sim = sim_of(disk);
    int status = call_begin(sim);
    if (status < 0)
        return status;
    sim->counts.dir_syncs++;
    if (hit(sim, sim->faults.dir_error, &sim->counts.dir_errors))
        return -EIO; /* a journal that failed stays failed: nothing is taken for clean */
    if (sim->faults.skip_sync_dir)
        return 0;
    list_foreach_safe (node, following, &sim->names) {
        struct name *name = list_entry(node, struct name, link);
        if (entry_of(name->path, path)) {
            name_settle(name);
            name_drop_if_gone(name);
        }
    }
    return 0;
}

static int sim_sync_all(struct disk_file *file)
{
    struct sim *sim = sim_of(file->disk);
    int status = call_begin(sim);
    list_foreach (node, &sim->files) {
        if (status == 0)
            status = file_sync(sim, list_entry(node, struct inode, link));
    }
    if (status < 0 || sim->faults.skip_sync_dir)
        return status;
    list_foreach_safe (node, following, &sim->names) {
        struct name *name = list_entry(node, struct name, link);
        name_settle(name);
        name_drop_if_gone(name);
    }
    return 0;
}

static int sim_rename(struct disk *disk, const char *from, const char *to)
{
    struct sim *sim = sim_of(disk);
    int status = call_begin(sim);
    if (status < 0)
        return status;
    struct name *source = name_find(sim, from);
    if (!source || !source->seen)
        return -ENOENT;
    name_see(name_make(sim, to), source->seen);
    name_see(source, NULL);
    name_drop_if_gone(source);
    return 0;
}

static int sim_remove(struct disk *disk, const char *path)
{
    struct sim *sim = sim_of(disk);
    int status = call_begin(sim);
    if (status < 0)
        return status;
    struct name *name = name_find(sim, path);
    if (!name || (!name->seen && !name->seen_directory))
        return -ENOENT;
    if (name->seen_directory) {
        list_foreach (node, &sim->names) {
            struct name *other = list_entry(node, struct name, link);
            if (entry_of(other->path, path) && (other->seen || other->seen_directory))
                return -ENOTEMPTY;
        }
        name->seen_directory = false;
    }
    name_see(name, NULL);
    name_drop_if_gone(name);
    return 0;
}

static int sim_space(struct disk *disk, const char *path, struct disk_space *ret_space)
{
    struct sim *sim = sim_of(disk);
    (void)path;
    uint64_t total = sim->faults.capacity ? sim->faults.capacity : UINT64_C(1) << 40;
    uint64_t used = bytes_seen(sim);
    *ret_space =
        (struct disk_space){ .total = total, .available = used < total ? total - used : 0 };
    return 0;
}

static int sim_lock(struct disk_file *file)
{
    if (file->inode->locked)
        return -EBUSY;
    file->inode->locked = file->holds_lock = true;
    return 0;
}

static bool sim_is_buffered(struct disk_file *file)
{
    return !file->direct;
}

static int sim_descriptor(struct disk_file *file)
{
    (void)file;
    return -1;
}

/* ---- asynchronous ops ---- */

static void sim_submit(struct disk *disk, struct disk_op *op)
{
    struct sim *sim = sim_of(disk);
    if (op->file && op->file->direct && op->kind != DISK_OP_SYNC)
        CHECK(op->position % DISK_ALIGNMENT == 0 && op->len % DISK_ALIGNMENT == 0);
    struct pending_op *pending = mem_zalloc(1, sizeof(*pending));
    pending->op = op;
    pending->at_ns = sim->now_ns + sim_latency(sim);
    pending->id = sim->next_id++;
    list_append(&sim->pending_ops, &pending->link);
}

static void disk_flush_cache(struct sim *sim)
{
    list_foreach (node, &sim->files)
        inode_settle(list_entry(node, struct inode, link));
}

/* An asynchronous write in flight: each of its sectors arrived or not. */
static void op_tear(struct sim *sim, const struct disk_op *op)
{
    if (op->kind == DISK_OP_SYNC)
        return;
    sim->counts.torn_writes++;
    for (size_t at = 0; at < op->len; at += SIM_SECTOR) {
        size_t part = op->len - at < SIM_SECTOR ? op->len - at : SIM_SECTOR;
        /* With a pattern the cache decides. */
        if (sim->pattern_on || random_chance(&sim->random, 1, 2))
            inode_write(op->file->inode, op->position + at, (const uint8_t *)op->data + at, part);
    }
}

static int op_write(struct sim *sim, struct disk_op *op)
{
    int status = write_fault(sim, op->file, op->position + op->len);
    if (status < 0) {
        op_tear(sim, op);
        return status;
    }
    inode_write(op->file->inode, op->position, op->data, op->len);
    if (op->kind != DISK_OP_WRITE_DURABLE)
        return 0;
    sim->counts.durable_writes++;
    if (sim->faults.skip_durable)
        return 0;
    /* Direct writes lie in the device's cache: without FUA the flush of a durable write takes them
     * along. */
    if (!sim->faults.fua && op->file->direct)
        disk_flush_cache(sim);
    inode_settle_range(op->file->inode, op->position, op->len);
    return error_heard(op->file);
}

static struct pending_op *op_earliest(const struct sim *sim)
{
    struct pending_op *best = NULL;
    list_foreach (node, &sim->pending_ops) {
        struct pending_op *op = list_entry(node, struct pending_op, link);
        if (!best || op->at_ns < best->at_ns || (op->at_ns == best->at_ns && op->id < best->id))
            best = op;
    }
    return best;
}

int64_t disk_sim_next_ns(const struct sim *sim)
{
    struct pending_op *op = op_earliest(sim);
    return op ? op->at_ns : INT64_MAX;
}

void disk_sim_finish_next(struct sim *sim)
{
    struct pending_op *pending = op_earliest(sim);
    struct disk_op *op = pending->op;
    list_remove(&pending->link);
    mem_free(pending);
    int status = sim->dead                  ? -EIO
                 : op->kind == DISK_OP_SYNC ? handle_sync(op->file)
                                            : op_write(sim, op);
    op->done(op, status);
}

static void sim_flush(struct disk *disk)
{
    (void)disk;
}

static int sim_poll_descriptor(struct disk *disk)
{
    (void)disk;
    return -1;
}

static void sim_poll(struct disk *disk)
{
    (void)disk;
}

static void sim_destroy(struct disk *disk)
{
    (void)disk;
}

static const struct disk_table table = {
    .name = "simulated",
    .open = sim_open,
    .close = sim_close,
    .mkdir = sim_mkdir,
    .list = sim_list,
    .read = sim_read,
    .read_nowait = sim_read_nowait,
    .writev = sim_writev,
    .fallocate = sim_fallocate,
    .truncate = sim_truncate,
    .size = sim_size,
    .sync = sim_sync,
    .sync_dir = sim_sync_dir,
    .sync_all = sim_sync_all,
    .rename = sim_rename,
    .remove = sim_remove,
    .space = sim_space,
    .lock = sim_lock,
    .is_buffered = sim_is_buffered,
    .descriptor = sim_descriptor,
    .submit = sim_submit,
    .flush = sim_flush,
    .poll_descriptor = sim_poll_descriptor,
    .poll = sim_poll,
    .destroy = sim_destroy,
};

void disk_sim_init(struct sim *sim)
{
    sim->disk.table = &table;
}

static void disk_drop(struct list *names);

void disk_sim_done(struct sim *sim)
{
    disk_sim_crash(sim, false);
    disk_drop(&sim->names);
    CHECK(list_empty(&sim->files)); /* else a disk file was never closed */
}

/* ---- crashes ---- */

static void inode_lose(struct sim *sim, struct inode *inode)
{
    for (uint64_t s = 0; s < inode->capacity / SIM_SECTOR; s++) {
        if (!inode->marks[s])
            continue;
        if (sim->pattern_on &&
            memcmp(inode->seen + s * SIM_SECTOR, inode->medium + s * SIM_SECTOR, SIM_SECTOR) == 0) {
            sector_settle(inode, s); /* nothing to decide */
            continue;
        }
        if (survives(sim)) {
            sector_settle(inode, s);
            sim->counts.sectors_kept++;
        } else {
            sim->counts.sectors_lost++;
        }
    }
    if (inode->medium_size != inode->seen_size && survives(sim))
        inode->medium_size = inode->seen_size;
    /* What lies beyond the size is not there. */
    if (inode->capacity > inode->medium_size)
        memset(inode->medium + inode->medium_size, 0, inode->capacity - inode->medium_size);
    if (inode->capacity) {
        memcpy(inode->seen, inode->medium, inode->capacity);
        memset(inode->marks, 0, inode->capacity / SIM_SECTOR);
    }
    inode->seen_size = inode->medium_size;
}

static void names_lose(struct sim *sim)
{
    list_foreach_safe (node, following, &sim->names) {
        struct name *name = list_entry(node, struct name, link);
        if (name_differs(name)) {
            bool keep = survives(sim);
            *(keep ? &sim->counts.names_kept : &sim->counts.names_lost) += 1;
            if (keep)
                name_settle(name);
        }
        name_see(name, name->medium);
        name->seen_directory = name->medium_directory;
        name_drop_if_gone(name);
    }
}

static bool top_is_there(struct sim *sim, const char *path)
{
    const char *slash = strchr(path + 1, '/');
    if (!slash)
        return true;
    char *top = mem_strndup(path, (size_t)(slash - path));
    struct name *name = name_find(sim, top);
    mem_free(top);
    return name && name->seen_directory;
}

/* What lies in a directory whose name is lost is lost. (In the order of their making parents come
 * first, but a name may have been made anew: until nothing changes.) */
static void orphans_lose(struct sim *sim)
{
    bool lost = true;
    while (lost) {
        lost = false;
        list_foreach_safe (node, following, &sim->names) {
            struct name *name = list_entry(node, struct name, link);
            if (parent_is_there(sim, name->path) &&
                (!sim->top_made || top_is_there(sim, name->path)))
                continue;
            name->seen_directory = false;
            name_see(name, NULL);
            name_settle(name);
            name_drop_if_gone(name);
            lost = true;
        }
    }
}

void disk_sim_crash(struct sim *sim, bool power)
{
    for (struct list *node; (node = list_pop(&sim->pending_ops));) {
        struct pending_op *pending = list_entry(node, struct pending_op, link);
        op_tear(sim, pending->op);
        mem_free(pending);
    }
    if (!power)
        return;
    list_foreach (node, &sim->files)
        inode_lose(sim, list_entry(node, struct inode, link));
    names_lose(sim);
    orphans_lose(sim);
    sim->pattern_on = false;
}

int sim_flip(struct sim *sim, const char *path, uint64_t position, uint8_t mask)
{
    struct name *name = name_find(sim, path);
    if (!name || !name->seen || position >= name->seen->seen_size)
        return -ENOENT;
    name->seen->seen[position] ^= mask;
    name->seen->medium[position] ^= mask;
    return 0;
}

static struct inode *inode_at(struct sim *sim, const char *path, uint64_t end)
{
    struct name *name = name_find(sim, path);
    return name && name->seen && end <= name->seen->seen_size ? name->seen : NULL;
}

int sim_misdirect(struct sim *sim, const char *from, uint64_t from_position, const char *to,
    uint64_t to_position, size_t len)
{
    struct inode *source = inode_at(sim, from, from_position + len);
    struct inode *target = inode_at(sim, to, to_position + len);
    if (!source || !target)
        return -ENOENT;
    memmove(target->seen + to_position, source->seen + from_position, len);
    memcpy(target->medium + to_position, target->seen + to_position, len);
    return 0;
}

int sim_zero(struct sim *sim, const char *path, uint64_t position, size_t len)
{
    struct inode *inode = inode_at(sim, path, position + len);
    if (!inode)
        return -ENOENT;
    memset(inode->seen + position, 0, len);
    memset(inode->medium + position, 0, len);
    return 0;
}

int sim_lose(struct sim *sim, const char *path)
{
    struct name *name = name_find(sim, path);
    if (!name || !name->seen)
        return -ENOENT;
    name_see(name, NULL);
    name_settle(name);
    name_drop_if_gone(name);
    return 0;
}

/* ---- images ---- */

struct sim_image {
    struct list files, names;
};

static struct inode *inode_copy(const struct inode *inode)
{
    struct inode *copy = mem_zalloc(1, sizeof(*copy));
    *copy = (struct inode){
        .seen_size = inode->seen_size,
        .medium_size = inode->medium_size,
        .capacity = inode->capacity,
        .direct = inode->direct,
        .id = inode->id,
    };
    if (!inode->capacity)
        return copy;
    copy->seen = mem_alloc(inode->capacity);
    copy->medium = mem_alloc(inode->capacity);
    copy->marks = mem_alloc(inode->capacity / SIM_SECTOR);
    memcpy(copy->seen, inode->seen, inode->capacity);
    memcpy(copy->medium, inode->medium, inode->capacity);
    memcpy(copy->marks, inode->marks, inode->capacity / SIM_SECTOR);
    return copy;
}

/* Order, and so every later choice by a seed, stays the same. */
static void disk_copy(
    struct list *files, struct list *names, const struct list *from_files, const struct list *from)
{
    list_foreach (node, from_files) {
        struct inode *inode = list_entry(node, struct inode, link);
        inode->copy = inode_copy(inode);
        list_append(files, &inode->copy->link);
    }
    list_foreach (node, from) {
        const struct name *name = list_entry(node, struct name, link);
        struct name *copy = mem_zalloc(1, sizeof(*copy));
        *copy = *name;
        copy->path = mem_strdup(name->path);
        copy->seen = name->seen ? inode_ref(name->seen->copy) : NULL;
        copy->medium = name->medium ? inode_ref(name->medium->copy) : NULL;
        list_append(names, &copy->link);
    }
}

static void disk_drop(struct list *names)
{
    list_foreach_safe (node, following, names) {
        struct name *name = list_entry(node, struct name, link);
        inode_unref(name->seen);
        inode_unref(name->medium);
        list_remove(&name->link);
        mem_free(name->path);
        mem_free(name);
    }
}

struct sim_image *sim_save(struct sim *sim)
{
    CHECK(sim->open_files == 0);
    struct sim_image *image = mem_zalloc(1, sizeof(*image));
    list_init(&image->files);
    list_init(&image->names);
    disk_copy(&image->files, &image->names, &sim->files, &sim->names);
    return image;
}

void sim_load(struct sim *sim, const struct sim_image *image)
{
    CHECK(sim->open_files == 0);
    disk_drop(&sim->names);
    CHECK(list_empty(&sim->files));
    disk_copy(&sim->files, &sim->names, &image->files, &image->names);
}

void sim_image_free(struct sim_image *image)
{
    if (!image)
        return;
    disk_drop(&image->names);
    mem_free(image);
}

struct sim_image *sim_still(struct sim *sim)
{
    struct sim_image *image = mem_zalloc(1, sizeof(*image));
    list_init(&image->files);
    list_init(&image->names);
    disk_copy(&image->files, &image->names, &sim->files, &sim->names);
    list_foreach (node, &sim->pending_ops) { /* the cache has them; a cut decides */
        const struct disk_op *op = list_entry(node, struct pending_op, link)->op;
        if (op->kind != DISK_OP_SYNC)
            inode_write(op->file->inode->copy, op->position, op->data, op->len);
    }
    list_foreach_safe (node, following, &image->files) {
        struct inode *inode = list_entry(node, struct inode, link);
        if (inode->references == 0) /* open without a name */
            inode_unref(inode_ref(inode));
    }
    return image;
}

struct sim_image *sim_cut(
    const struct sim *sim, const struct sim_image *still, uint64_t pattern, uint32_t *ret_decisions)
{
    struct sim cut = { .random = random_seeded(pattern),
        .top_made = sim->top_made,
        .pattern_on = true,
        .pattern = pattern };
    struct sim_image *image = mem_zalloc(1, sizeof(*image));
    list_init(&cut.files);
    list_init(&cut.names);
    list_init(&cut.pending_ops);
    list_init(&image->files);
    list_init(&image->names);
    disk_copy(&cut.files, &cut.names, &still->files, &still->names);
    disk_sim_crash(&cut, true);
    for (struct list *node; (node = list_pop(&cut.files));)
        list_append(&image->files, node);
    for (struct list *node; (node = list_pop(&cut.names));)
        list_append(&image->names, node);
    *ret_decisions = cut.decisions;
    return image;
}

uint64_t sim_image_hash(const struct sim_image *image)
{
    uint64_t hash = 0;
    list_foreach (node, &image->names) {
        const struct name *name = list_entry(node, struct name, link);
        hash = XXH3_64bits_withSeed(name->path, strlen(name->path) + 1, hash + 1);
        hash += name->seen_directory;
        if (!name->seen)
            continue;
        hash += 2 + name->seen->direct;
        hash = XXH3_64bits_withSeed(&name->seen->seen_size, sizeof(name->seen->seen_size), hash);
        if (name->seen->seen_size)
            hash = XXH3_64bits_withSeed(name->seen->seen, name->seen->seen_size, hash);
    }
    return hash;
}

void sim_each_file(
    struct sim *sim, void (*each)(void *context, const char *path, uint64_t size), void *context)
{
    list_foreach (node, &sim->names) {
        struct name *name = list_entry(node, struct name, link);
        if (name->seen)
            each(context, name->path, name->seen->seen_size);
    }
}
