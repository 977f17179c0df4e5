/* See rewrite.h. */
#include "storage/rewrite.h"

#include "protocol/base/mem.h"

enum { PIECE = 1 << 18 };

int rewrite(struct disk *door, struct disk_file *file, uint64_t len)
{
    const struct disk_table *disk = door->table;
    uint8_t *piece = mem_alloc(len < PIECE ? (size_t)len + 1 : PIECE);
    int status = 0;
    for (uint64_t at = 0; status == 0 && at < len;) {
        size_t want = len - at < PIECE ? (size_t)(len - at) : PIECE, got = 0;
        status = disk->read(file, at, piece, want, &got);
        if (status < 0 || got == 0)
            break;
        struct iovec iov = { piece, got };
        status = disk->writev(file, at, &iov, 1);
        at += got;
    }
    mem_free(piece);
    return status < 0 ? status : disk->sync(file);
}
