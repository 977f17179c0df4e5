/*
 * Opening, making and finding the slots.
 *
 * Nothing is decided on bytes that were read before they were synced: a file that a killed process
 * wrote lies in the page cache or the device's cache, and a power cut after our decision could take
 * it back. So open syncs first (an error there is the end: nobody knows what is on the medium).
 *
 * A file without a header: `blank` when its beginning is zeros (prepared, never used), otherwise
 * damaged; recovery decides what that means. A file that is short and not part of the log (it was
 * being prepared when the process died), or blank, becomes EMPTY there, and is prepared anew.
 */
#include "storage/wal_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "protocol/base/mem.h"
#include "storage/barriers.h"

enum { ZEROS_BYTES = 64 << 10, ZEROS_PER_WRITE = 16, CHECK_BYTES = 64 << 10 };

void *wal_memory_map(size_t size)
{
    void *memory = mmap(
        NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    /* Huge pages would make an idle ring big. A kernel without them says -EINVAL: fine. */
    (void)madvise(memory, size, MADV_NOHUGEPAGE);
    return memory;
}

void wal_memory_unmap(void *memory, size_t size)
{
    if (memory)
        CHECK(munmap(memory, size) == 0);
}

void wal_files_path(const struct wal_files *files, size_t index, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/%04zu.wal", files->dir, index);
}

static char *path_of(const struct wal_files *files, size_t index)
{
    return mem_printf("%s/%04zu.wal", files->dir, index);
}

/* ---- opening ---- */

struct listing {
    bool found[WAL_FILES_COUNT_MAX];
    size_t count; /* 1 + the greatest index */
};

/* Exactly NNNN.wal. */
static void listing_add(void *context, const char *name)
{
    struct listing *listing = context;
    size_t index = 0;
    for (int i = 0; i < 4; i++) {
        if (name[i] < '0' || name[i] > '9')
            return;
        index = index * 10 + (size_t)(name[i] - '0');
    }
    if (strcmp(name + 4, ".wal") != 0)
        return;
    listing->found[index] = true;
    if (index >= listing->count)
        listing->count = index + 1;
}

static bool is_zero(const uint8_t *at, size_t len)
{
    return len == 0 || (at[0] == 0 && memcmp(at, at + 1, len - 1) == 0);
}

static int slot_read_head(struct wal_files *files, struct wal_slot *slot, uint8_t *blocks)
{
    const struct disk_table *disk = files->doors->disk->table;
    size_t len = 0;
    int status = disk->read(slot->file, 0, blocks, (size_t)2 * WAL_BLOCK, &len);
    if (status < 0)
        return status;
    memset(blocks + len, 0, (size_t)2 * WAL_BLOCK - len);
    slot->blank = is_zero(blocks, (size_t)2 * WAL_BLOCK);
    status = wal_file_head_decode(blocks, &slot->head);
    if (status < 0)
        return status == -ENODATA ? 0 : status;
    slot->has_head = true;
    slot->has_first =
        wal_record_decode(blocks + WAL_BLOCK, &slot->first, &slot->head.format) &&
        slot->first.lsn == slot->head.number * slot->head.format.file_bytes + WAL_BLOCK;
    return 0;
}

static int slot_open(struct wal_files *files, size_t index, uint8_t *blocks)
{
    struct wal_slot *slot = &files->slots[index];
    const struct disk_table *disk = files->doors->disk->table;
    char *path = path_of(files, index);
    int status = disk->open(files->doors->disk, path, DISK_WRITE | DISK_DIRECT, &slot->file);
    if (status == 0) {
        slot->state = WAL_SLOT_FREE;
        /* The lock waits for writes that a killed process left with the kernel. A file system
         * without locks is let in: the directory has a lock of its own. */
        status = disk->lock(slot->file) == -EBUSY ? -EBUSY : 0;
    }
    if (status == 0)
        status = disk->size(slot->file, &slot->size);
    if (status == 0)
        status = BARRIER(WAL_OPEN_SYNC) ? disk->sync(slot->file) : 0;
    if (status == 0)
        status = slot_read_head(files, slot, blocks);
    if (status < 0)
        doors_say(files->doors, LOG_ERROR, "%s: can't be opened: %s", path, strerror(-status));
    mem_free(path);
    return status;
}

/* All headers tell of one directory. */
static int format_agree(struct wal_files *files)
{
    size_t reference = files->count;
    for (size_t i = 0; i < files->count; i++) {
        const struct wal_slot *slot = &files->slots[i];
        if (!slot->has_head)
            continue;
        if (reference == files->count) {
            reference = i;
            files->format = slot->head.format;
        } else if (slot->head.format.directory_id != files->format.directory_id ||
                   slot->head.format.file_bytes != files->format.file_bytes) {
            doors_say(files->doors, LOG_ERROR,
                "%s: %04zu.wal and %04zu.wal do not come from the same directory; one of them was "
                "copied here and must go",
                files->dir, reference, i);
            return -EUCLEAN;
        }
    }
    return 0;
}

/* Of two slots with one number the older history is no file of this log. Of one history: a write
 * went astray or a file was copied; the one in which no record follows the header will be used
 * again, and then the other one would come back. */
static void twins_part(struct wal_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        struct wal_slot *a = &files->slots[i];
        for (size_t j = i + 1; a->has_head && j < files->count; j++) {
            struct wal_slot *b = &files->slots[j];
            if (!b->has_head || a->head.number != b->head.number)
                continue;
            bool a_counts = a->head.incarnation > b->head.incarnation;
            if (a->head.incarnation == b->head.incarnation)
                a_counts = a->has_first || !b->has_first;
            if (a_counts)
                b->has_head = b->has_first = false;
            else
                a->has_head = a->has_first = false;
        }
    }
}

int wal_files_open(struct wal_files *files, struct doors *doors, const char *dir, size_t files_max)
{
    *files = (struct wal_files){ .doors = doors, .dir = mem_strdup(dir) };
    struct listing *listing = mem_zalloc(1, sizeof(*listing));
    int status = doors->disk->table->list(doors->disk, dir, listing_add, listing);
    files->count = listing->count > files_max ? listing->count : files_max;
    files->slots = mem_zalloc(files->count, sizeof(*files->slots));
    uint8_t *blocks = wal_memory_map((size_t)2 * WAL_BLOCK);
    if (status == 0 && !blocks)
        status = -ENOMEM;
    for (size_t i = 0; status == 0 && i < listing->count; i++) {
        if (listing->found[i])
            status = slot_open(files, i, blocks);
    }
    if (status == 0 && BARRIER(WAL_OPEN_DIR_SYNC))
        status = doors->disk->table->sync_dir(doors->disk, dir);
    if (status == 0)
        status = format_agree(files);
    if (status == 0)
        twins_part(files);
    wal_memory_unmap(blocks, (size_t)2 * WAL_BLOCK);
    mem_free(listing);
    return status;
}

void wal_files_done(struct wal_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        if (files->slots[i].file)
            files->doors->disk->table->close(files->slots[i].file);
    }
    if (files->prepare.file)
        files->doors->disk->table->close(files->prepare.file);
    mem_free(files->prepare.path);
    mem_free(files->slots);
    mem_free(files->dir);
    *files = (struct wal_files){ 0 };
}

/* ---- making ---- */

static int write_zeros(struct disk *disk, struct disk_file *file, uint64_t size)
{
    void *zeros = wal_memory_map(ZEROS_BYTES);
    if (!zeros)
        return -ENOMEM;
    struct iovec iov[ZEROS_PER_WRITE];
    for (size_t i = 0; i < ZEROS_PER_WRITE; i++)
        iov[i] = (struct iovec){ zeros, ZEROS_BYTES };
    int status = 0;
    for (uint64_t at = 0; status == 0 && at < size;) {
        uint64_t pieces = (size - at) / ZEROS_BYTES;
        int count = pieces < ZEROS_PER_WRITE ? (int)pieces : ZEROS_PER_WRITE;
        status = disk->table->writev(file, at, iov, count);
        at += (uint64_t)count * ZEROS_BYTES;
    }
    wal_memory_unmap(zeros, ZEROS_BYTES);
    return status;
}

static int make(struct wal_files *files, const char *path, struct disk_file **ret_file)
{
    struct disk *disk = files->doors->disk;
    int status = disk->table->open(disk, path, DISK_WRITE | DISK_CREATE | DISK_DIRECT, ret_file);
    if (status == 0 && disk->table->lock(*ret_file) == -EBUSY)
        status = -EBUSY;
    return status;
}

int wal_files_create(struct wal_files *files, size_t index, const struct wal_file_head *head)
{
    struct wal_slot *slot = &files->slots[index];
    const struct disk_table *disk = files->doors->disk->table;
    uint64_t size = files->format.file_bytes;
    char *path = path_of(files, index);
    uint8_t *block = wal_memory_map(WAL_BLOCK);
    int status = block ? 0 : -ENOMEM;
    if (status == 0 && !slot->file)
        status = make(files, path, &slot->file);
    if (status == 0) {
        slot->state = WAL_SLOT_FREE;
        status = disk->fallocate(slot->file, 0, size);
        if (status == -EOPNOTSUPP)
            status = write_zeros(files->doors->disk, slot->file, size);
    }
    if (status == 0)
        status = disk->truncate(slot->file, size);
    if (status == 0) {
        wal_file_head_encode(block, head);
        struct iovec iov = { block, WAL_BLOCK };
        status = disk->writev(slot->file, 0, &iov, 1);
    }
    if (status == 0 && BARRIER(WAL_CREATE_SYNC))
        status = disk->sync(slot->file);
    if (status == 0 && BARRIER(WAL_CREATE_DIR_SYNC))
        status = disk->sync_dir(files->doors->disk, files->dir);
    if (status == 0) {
        slot->has_head = true;
        slot->head = *head;
        slot->blank = true; /* nothing behind the header, no need to search */
        slot->size = size;
    } else {
        doors_say(files->doors, LOG_ERROR, "%s: can't be made: %s", path, strerror(-status));
    }
    wal_memory_unmap(block, WAL_BLOCK);
    mem_free(path);
    return status;
}

/* Zeros from there to the end? */
static int check_zeros(
    struct disk *disk, struct disk_file *file, uint64_t from, uint64_t size, bool *ret_zero)
{
    int status = 0;
    uint8_t *piece = wal_memory_map(CHECK_BYTES);
    if (!piece)
        return -ENOMEM;
    *ret_zero = true;
    for (uint64_t at = from; status == 0 && *ret_zero && at < size; at += CHECK_BYTES) {
        size_t len = 0;
        status = disk->table->read(file, at, piece, CHECK_BYTES, &len);
        *ret_zero = status == 0 && is_zero(piece, len);
    }
    wal_memory_unmap(piece, CHECK_BYTES);
    return status;
}

int wal_files_check_blank(struct wal_files *files, const struct wal_slot *slot, bool *ret_blank)
{
    return check_zeros(files->doors->disk, slot->file, WAL_BLOCK, slot->size, ret_blank);
}

static int fill_with_zeros(struct disk *disk, struct disk_file *file, uint64_t size)
{
    int status = disk->table->fallocate(file, 0, size);
    if (status < 0 && status != -EOPNOTSUPP)
        return status;
    status = write_zeros(disk, file, size);
    return status < 0 ? status : disk->table->sync(file);
}

/* In the pool. Space first, so that a full disk is known early and the file lies in one piece; then
 * zeros, so that later writes change no extents. */
static void prepare_run(struct work_job *job)
{
    struct wal_prepare *prepare = container_of(job, struct wal_prepare, job);
    struct wal_files *files = prepare->files;
    const struct disk_table *disk = files->doors->disk->table;
    uint64_t size = files->format.file_bytes;
    int status = make(files, prepare->path, &prepare->file);
    /* A file that was made in an earlier life may have been taken for unused because its beginning
     * was lost. So all of it is looked at before its turn; what can't be read is written. */
    uint64_t found = 0;
    bool zero = false;
    if (status == 0)
        status = disk->size(prepare->file, &found);
    if (status == 0 && found == size && !BARRIER(WAL_PREPARE_ZEROS))
        zero = true;
    else if (status == 0 && found == size)
        zero = check_zeros(files->doors->disk, prepare->file, 0, size, &zero) == 0 && zero;
    if (status == 0 && !zero)
        status = fill_with_zeros(files->doors->disk, prepare->file, size);
    if (status == 0 && BARRIER(WAL_PREPARE_DIR_SYNC)) {
        status = disk->sync_dir(files->doors->disk, files->dir);
        prepare->directory_failed = status < 0;
    }
    prepare->status = status;
    if (status == 0 || !prepare->file)
        return;
    /* Gives the space back; the name stays, or there would be a hole before files of earlier lives.
     */
    (void)disk->truncate(prepare->file, 0);
    disk->close(prepare->file);
    prepare->file = NULL;
}

static void prepare_done(struct work_job *job)
{
    struct wal_prepare *prepare = container_of(job, struct wal_prepare, job);
    struct wal_files *files = prepare->files;
    struct wal_slot *slot = &files->slots[prepare->index];
    *slot = (struct wal_slot){
        .state = prepare->status == 0 ? WAL_SLOT_FREE : WAL_SLOT_EMPTY,
        .file = prepare->file,
        .size = files->format.file_bytes,
        .blank = true,
    };
    prepare->file = NULL;
    mem_free(prepare->path);
    prepare->path = NULL;
    prepare->running = false;
    files->prepared(files, prepare->index, prepare->status, prepare->directory_failed);
}

void wal_files_prepare(struct wal_files *files, size_t index)
{
    CHECK(!files->prepare.running && files->slots[index].state == WAL_SLOT_EMPTY);
    files->slots[index].state = WAL_SLOT_PREPARING;
    files->prepare = (struct wal_prepare){
        .job = { .run = prepare_run, .done = prepare_done },
        .files = files,
        .index = index,
        .path = path_of(files, index),
        .running = true,
    };
    work_submit(files->doors->work, &files->prepare.job);
}

int wal_files_prepare_now(struct wal_files *files)
{
    size_t index = 0;
    while (index < files->count && files->slots[index].state != WAL_SLOT_EMPTY)
        index++;
    if (index == files->count) {
        files->slots = mem_realloc(files->slots, (index + 1) * sizeof(*files->slots));
        files->slots[index] = (struct wal_slot){ .state = WAL_SLOT_EMPTY };
        files->count++;
    }
    struct wal_prepare prepare = { .files = files, .index = index, .path = path_of(files, index) };
    prepare_run(&prepare.job);
    if (prepare.status == 0)
        files->slots[index] = (struct wal_slot){ .state = WAL_SLOT_FREE,
            .file = prepare.file,
            .size = files->format.file_bytes,
            .blank = true };
    else
        doors_say(files->doors, LOG_ERROR, "%s: can't be made: %s", prepare.path,
            strerror(-prepare.status));
    mem_free(prepare.path);
    return prepare.status;
}

/* ---- finding ---- */

struct wal_slot *wal_files_find(struct wal_files *files, uint64_t number)
{
    for (size_t i = 0; i < files->count; i++) {
        struct wal_slot *slot = &files->slots[i];
        if (slot->state == WAL_SLOT_USED && slot->head.number == number)
            return slot;
    }
    return NULL;
}

struct wal_slot *wal_files_pick(struct wal_files *files, uint64_t number)
{
    struct wal_slot *best = NULL;
    for (size_t i = 0; i < files->count; i++) {
        struct wal_slot *slot = &files->slots[i];
        if (slot->state != WAL_SLOT_FREE)
            continue;
        if (slot->has_head && slot->head.number == number)
            return slot;
        if (!best)
            best = slot;
    }
    return best;
}

size_t wal_files_count(const struct wal_files *files, enum wal_slot_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < files->count; i++)
        count += files->slots[i].state == state;
    return count;
}
