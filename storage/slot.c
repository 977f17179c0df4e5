/* See slot.h. A crash in the middle of a write leaves a slot whose checksums do not match; the
 * other slot is whole then, since a slot is only written when the other one is on stable media. */
#include "storage/slot.h"

#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/crc32c.h"
#include "storage/barriers.h"
#include "storage/rewrite.h"

static const char magic[] = "MILLRACE";
enum { ENDS = 2 };

static char *slot_path(const char *dir, uint64_t generation)
{
    return mem_printf("%s/meta.%c", dir, BARRIER(SLOT_IN_TURN) && generation % ENDS ? 'a' : 'b');
}

void slot_begin(struct out *out)
{
    memset(out_add(out, SLOT_HEAD_SIZE), 0, SLOT_HEAD_SIZE);
}

void slot_seal(struct out *out, const struct slot_head *head)
{
    uint8_t *at = out->data;
    size_t body_len = out->len - SLOT_HEAD_SIZE;
    memcpy(at, magic, 8);
    le_put32(at + 8, SLOT_FORMAT);
    le_put32(at + 12, head->flags);
    le_put64(at + 16, head->generation);
    le_put64(at + 24, head->lsn);
    le_put64(at + 32, body_len);
    le_put32(at + 40, crc32c(0, at + SLOT_HEAD_SIZE, body_len));
    le_put32(at + 44, crc32c(0, at, 44));
}

int slot_write(struct disk *disk, const char *dir, uint64_t generation, struct bytes bytes)
{
    char *path = slot_path(dir, generation);
    struct disk_file *file;
    int status = disk->table->open(disk, path, DISK_WRITE, &file);
    bool fresh = status == -ENOENT;
    if (fresh)
        status = disk->table->open(disk, path, DISK_WRITE | DISK_CREATE, &file);
    mem_free(path);
    if (status < 0)
        return status;
    struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.len };
    status = disk->table->writev(file, 0, &iov, 1);
    if (status == 0 && BARRIER(SLOT_SYNC) && disk->table->sync(file) < 0)
        status = -EIO; /* never tried again, whatever it said */
    disk->table->close(file);
    if (status == 0 && fresh && BARRIER(SLOT_DIR_SYNC) && disk->table->sync_dir(disk, dir) < 0)
        status = -EIO;
    return status;
}

/* Reads one slot. -ENOENT: no file, or an empty one; -EUCLEAN: not valid. */
static int slot_load(struct disk *disk, const char *path, struct slot_head *ret, struct out *body)
{
    struct disk_file *file;
    uint8_t head[SLOT_HEAD_SIZE];
    size_t len;
    int status = disk->table->open(disk, path, DISK_WRITE, &file);
    if (status < 0)
        return status;
    status = disk->table->read(file, 0, head, sizeof(head), &len);
    if (status < 0)
        goto close;
    status = len == 0 ? -ENOENT : -EUCLEAN;
    if (len < sizeof(head) || memcmp(head, magic, 8) != 0 ||
        (BARRIER(SLOT_HEAD_CRC) && le_get32(head + 44) != crc32c(0, head, 44)) ||
        le_get32(head + 8) < 1 || le_get32(head + 8) > SLOT_FORMAT)
        goto close;
    uint64_t body_len = le_get64(head + 32), size;
    int size_status = disk->table->size(file, &size);
    if (size_status < 0 || size < SLOT_HEAD_SIZE || body_len > size - SLOT_HEAD_SIZE)
        goto close;
    status = disk->table->read(file, SLOT_HEAD_SIZE, out_add(body, body_len), body_len, &len);
    if (status == 0 && (len < body_len || (BARRIER(SLOT_BODY_CRC) &&
                                              crc32c(0, body->data, len) != le_get32(head + 40))))
        status = -EUCLEAN;
    ret->format = le_get32(head + 8);
    ret->flags = le_get32(head + 12);
    ret->generation = le_get64(head + 16);
    ret->lsn = le_get64(head + 24);
close:
    disk->table->close(file);
    return status;
}

int slot_read(struct disk *disk, const char *dir, struct slot_head *ret_head, struct out *ret_body,
    int *ret_invalid)
{
    int best = -ENOENT;
    *ret_invalid = 0;
    for (uint64_t end = 0; end < ENDS; end++) {
        struct slot_head head = { 0 };
        struct out body = { 0 };
        char *path = slot_path(dir, end);
        int status = slot_load(disk, path, &head, &body);
        mem_free(path);
        *ret_invalid += status == -EUCLEAN;
        if (status == 0 && (best < 0 || head.generation > ret_head->generation)) {
            out_done(ret_body);
            *ret_head = head;
            *ret_body = body;
            best = 0;
            continue;
        }
        out_done(&body);
        if (status < 0 && status != -ENOENT && status != -EUCLEAN)
            return status;
    }
    return best;
}

int slot_rewrite(struct disk *disk, const char *dir, uint64_t generation)
{
    char *path = slot_path(dir, generation);
    struct disk_file *file;
    int status = disk->table->open(disk, path, DISK_WRITE, &file);
    mem_free(path);
    if (status < 0)
        return status;
    status = BARRIER(SLOT_REWRITE) ? rewrite(disk, file, UINT64_MAX) : 0;
    disk->table->close(file);
    return status;
}
