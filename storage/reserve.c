/* See reserve.h. The file's size is set when its blocks are there, so a short one was cut off in
 * the making and is none. */
#include "storage/reserve.h"

#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/owner.h"

uint64_t reserve_size(const struct storage *storage)
{
    return (uint64_t)storage->config.wal_file_bytes * 9 / 4;
}

static char *path_in(const char *dir)
{
    return mem_printf("%s/reserve", dir);
}

static int size_of(struct disk *disk, const char *path, uint64_t *ret_size)
{
    struct disk_file *file;
    int status = disk->table->open(disk, path, DISK_READ, &file);
    if (status < 0)
        return status;
    status = disk->table->size(file, ret_size);
    disk->table->close(file);
    return status;
}

int reserve_prepare(struct storage *storage, bool named)
{
    struct disk *disk = storage->doors->disk;
    struct disk_space space;
    uint64_t size = 0;
    if (!named)
        return 0;
    char *path = path_in(storage->dir);
    int status = size_of(disk, path, &size);
    if (status == 0)
        status = disk->table->space(disk, storage->dir, &space);
    storage->reserve_there = status == 0 && size >= reserve_size(storage);
    bool wanted = status == 0 && space.available < reserve_size(storage);
    if (wanted)
        status = disk->table->remove(disk, path);
    if (status < 0)
        doors_say(storage->doors, LOG_WARNING, "can't use %s: %s", path, strerrordesc_np(-status));
    mem_free(path);
    if (!wanted || status < 0)
        return 0;
    storage->reserve_there = false;
    /* A file system with a journal gives the blocks out again when the removal is safe. */
    return disk->table->sync_dir(disk, storage->dir);
}

int reserve_make(struct disk *disk, const char *dir, uint64_t size)
{
    struct disk_file *file;
    char *path = path_in(dir);
    int status = disk->table->open(disk, path, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &file);
    if (status == 0) {
        status = disk->table->fallocate(file, 0, size);
        if (status == 0)
            status = disk->table->truncate(file, size);
        disk->table->close(file);
        if (status < 0)
            (void)disk->table->remove(disk, path); /* an empty file does no harm */
    }
    mem_free(path);
    return status;
}
