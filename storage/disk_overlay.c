/*
 * See disk_overlay.h. A node for each path that was written, cut or removed here; in it, pages of
 * 4 KiB in a table by number. A page is copied from below when a part of it is written. What lies
 * below counts as far as `base_size`: a file that was cut shows no more of it.
 */
#include "storage/disk_overlay.h"

#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/base/tree.h"

enum { PAGE = 4096 };

struct node {
    struct tree_node by_path;
    char *path;
    uint8_t **pages;
    size_t page_count, page_capacity;
    uint64_t size, base_size;
    bool directory, removed;
};

struct overlay {
    struct disk disk;
    struct disk *base;
    struct tree nodes;
    struct list done; /* struct disk_op */
    uint64_t bytes;
};

struct disk_file {
    struct disk *disk;
    struct node *node;
    struct disk_file *base; /* NULL: there is nothing below */
};

static struct overlay *overlay_of(struct disk *disk)
{
    return container_of(disk, struct overlay, disk);
}

static int compare_path(const void *key, const struct tree_node *node)
{
    return strcmp(key, container_of_const(node, struct node, by_path)->path);
}

static struct node *node_find(struct overlay *overlay, const char *path)
{
    struct tree_node *node = tree_find(&overlay->nodes, path);
    return node ? container_of(node, struct node, by_path) : NULL;
}

static struct node *node_make(struct overlay *overlay, const char *path)
{
    struct node *node = mem_zalloc(1, sizeof(*node));
    node->path = mem_strdup(path);
    tree_insert(&overlay->nodes, node->path, &node->by_path);
    return node;
}

static void node_cut(struct overlay *overlay, struct node *node, uint64_t size)
{
    size_t keep = (size_t)((size + PAGE - 1) / PAGE);
    for (size_t i = keep; i < node->page_count; i++) {
        overlay->bytes -= node->pages[i] ? PAGE : 0;
        mem_free(node->pages[i]);
        node->pages[i] = NULL;
    }
    if (size % PAGE && keep <= node->page_count && keep > 0 && node->pages[keep - 1])
        memset(node->pages[keep - 1] + size % PAGE, 0, PAGE - size % PAGE);
    if (node->page_count > keep)
        node->page_count = keep;
    if (node->base_size > size)
        node->base_size = size;
    node->size = size;
}

/* ---- files --------------------------------------------------------------------------------- */

static int file_base(struct overlay *overlay, const char *path, struct disk_file *file)
{
    struct disk *base = overlay->base;
    struct node *node = file->node;
    if (node && (node->removed || node->directory))
        return -ENOENT;
    int status = base->table->open(base, path, DISK_READ, &file->base);
    if (status == 0 && !node) {
        uint64_t size;
        status = base->table->size(file->base, &size);
        if (status < 0) {
            base->table->close(file->base);
            return status;
        }
        file->node = node_make(overlay, path);
        file->node->size = file->node->base_size = size;
    }
    return status;
}

static int overlay_open(struct disk *disk, const char *path, int flags, struct disk_file **ret_file)
{
    struct overlay *overlay = overlay_of(disk);
    struct disk_file *file = mem_zalloc(1, sizeof(*file));
    file->disk = disk;
    file->node = node_find(overlay, path);
    int status = file_base(overlay, path, file);
    bool there = status == 0 || (file->node && !file->node->removed);
    if (status == -ENOENT && (there || (flags & DISK_CREATE)))
        status = 0;
    if (status == 0 && there && (flags & DISK_EXCLUSIVE))
        status = -EEXIST;
    if (status < 0) {
        if (file->base)
            overlay->base->table->close(file->base);
        mem_free(file);
        return status;
    }
    if (!file->node)
        file->node = node_make(overlay, path);
    if (!there || (flags & DISK_TRUNCATE))
        node_cut(overlay, file->node, 0);
    file->node->removed = false;
    *ret_file = file;
    return 0;
}

static void overlay_close(struct disk_file *file)
{
    if (file->base)
        overlay_of(file->disk)->base->table->close(file->base);
    mem_free(file);
}

/* [position, position + len) as it lies below; zeros behind its end. */
static int base_read(struct disk_file *file, uint64_t position, uint8_t *to, size_t len)
{
    const struct node *node = file->node;
    size_t got = 0;
    if (file->base && position < node->base_size) {
        uint64_t left = node->base_size - position;
        size_t want = left < len ? (size_t)left : len;
        int status =
            overlay_of(file->disk)->base->table->read(file->base, position, to, want, &got);
        if (status < 0)
            return status;
    }
    memset(to + got, 0, len - got);
    return 0;
}

static int overlay_read(
    struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len)
{
    const struct node *node = file->node;
    uint8_t *at = to;
    size_t done = 0;
    if (position >= node->size)
        len = 0;
    else if (len > node->size - position)
        len = (size_t)(node->size - position);
    while (done < len) {
        uint64_t here = position + done;
        size_t page = (size_t)(here / PAGE), skip = (size_t)(here % PAGE);
        size_t piece = PAGE - skip < len - done ? PAGE - skip : len - done;
        if (page < node->page_count && node->pages[page]) {
            memcpy(at + done, node->pages[page] + skip, piece);
        } else {
            while (
                done + piece < len && /* as far as no page of ours comes */
                ((here + piece) / PAGE >= node->page_count || !node->pages[(here + piece) / PAGE]))
                piece += len - done - piece < PAGE ? len - done - piece : PAGE;
            int status = base_read(file, here, at + done, piece);
            if (status < 0)
                return status;
        }
        done += piece;
    }
    *ret_len = len;
    return 0;
}

static int page_make(struct disk_file *file, size_t page)
{
    struct node *node = file->node;
    struct overlay *overlay = overlay_of(file->disk);
    if (page < node->page_count && node->pages[page])
        return 0;
    if (overlay->bytes + PAGE > OVERLAY_BYTES_MAX)
        return -ENOSPC;
    uint8_t *memory = mem_alloc(PAGE);
    int status = base_read(file, (uint64_t)page * PAGE, memory, PAGE);
    if (status < 0) {
        mem_free(memory);
        return status;
    }
    mem_grow(node->pages, &node->page_capacity, page + 1);
    for (; node->page_count <= page; node->page_count++)
        node->pages[node->page_count] = NULL;
    node->pages[page] = memory;
    overlay->bytes += PAGE;
    return 0;
}

static int write_bytes(struct disk_file *file, uint64_t position, const uint8_t *from, size_t len)
{
    for (size_t done = 0; done < len;) {
        uint64_t here = position + done;
        size_t skip = (size_t)(here % PAGE);
        size_t piece = PAGE - skip < len - done ? PAGE - skip : len - done;
        int status = page_make(file, (size_t)(here / PAGE));
        if (status < 0)
            return status;
        memcpy(file->node->pages[here / PAGE] + skip, from + done, piece);
        done += piece;
    }
    if (position + len > file->node->size)
        file->node->size = position + len;
    return 0;
}

static int overlay_writev(
    struct disk_file *file, uint64_t position, const struct iovec *iov, int iov_count)
{
    int status = 0;
    for (int i = 0; i < iov_count && status == 0; i++) {
        status = write_bytes(file, position, iov[i].iov_base, iov[i].iov_len);
        position += iov[i].iov_len;
    }
    return status;
}

static int overlay_fallocate(struct disk_file *file, uint64_t position, uint64_t len)
{
    (void)file, (void)position, (void)len;
    return -EOPNOTSUPP;
}

static int overlay_truncate(struct disk_file *file, uint64_t size)
{
    node_cut(overlay_of(file->disk), file->node, size);
    return 0;
}

static int overlay_size(struct disk_file *file, uint64_t *ret_size)
{
    *ret_size = file->node->size;
    return 0;
}

static int overlay_sync(struct disk_file *file)
{
    (void)file;
    return 0;
}

static int overlay_lock(struct disk_file *file)
{
    return file->base ? overlay_of(file->disk)->base->table->lock(file->base) : 0;
}

static bool overlay_is_buffered(struct disk_file *file)
{
    (void)file;
    return false; /* nothing needs to be written again */
}

static int overlay_descriptor(struct disk_file *file)
{
    (void)file;
    return -1;
}

/* ---- names --------------------------------------------------------------------------------- */

struct listing {
    struct overlay *overlay;
    const char *path;
    void (*each)(void *context, const char *name);
    void *context;
};

static void list_below(void *context, const char *name)
{
    struct listing *listing = context;
    char *path = mem_printf("%s/%s", listing->path, name);
    if (!node_find(listing->overlay, path)) /* ours come by themselves */
        listing->each(listing->context, name);
    mem_free(path);
}

static int overlay_list(struct disk *disk, const char *path,
    void (*each)(void *context, const char *name), void *context)
{
    struct overlay *overlay = overlay_of(disk);
    struct listing listing = { overlay, path, each, context };
    const struct node *directory = node_find(overlay, path);
    size_t len = strlen(path);
    if (directory && directory->removed)
        return -ENOENT;
    int status = overlay->base->table->list(overlay->base, path, list_below, &listing);
    if (status == -ENOENT && directory)
        status = 0;
    for (struct tree_node *at = tree_after(&overlay->nodes, path); at && status == 0;) {
        const struct node *node = container_of(at, struct node, by_path);
        if (strncmp(node->path, path, len) == 0 && node->path[len] == '/' &&
            !strchr(node->path + len + 1, '/') && !node->removed)
            each(context, node->path + len + 1);
        at = tree_after(&overlay->nodes, node->path);
    }
    return status;
}

static void ignore(void *context, const char *name)
{
    (void)context, (void)name;
}

static int overlay_mkdir(struct disk *disk, const char *path)
{
    struct overlay *overlay = overlay_of(disk);
    struct node *node = node_find(overlay, path);
    if (node && !node->removed)
        return -EEXIST;
    if (!node && overlay->base->table->list(overlay->base, path, ignore, NULL) == 0)
        return -EEXIST;
    if (!node)
        node = node_make(overlay, path);
    node->directory = true;
    node->removed = false;
    return 0;
}

static int overlay_remove(struct disk *disk, const char *path)
{
    struct overlay *overlay = overlay_of(disk);
    struct node *node = node_find(overlay, path);
    if (!node)
        node = node_make(overlay, path);
    node_cut(overlay, node, 0);
    node->removed = true;
    return 0;
}

static int overlay_rename(struct disk *disk, const char *from, const char *to)
{
    (void)disk, (void)from, (void)to;
    return -EROFS; /* nothing that matters is renamed */
}

static int overlay_sync_dir(struct disk *disk, const char *path)
{
    (void)disk, (void)path;
    return 0;
}

static int overlay_space(struct disk *disk, const char *path, struct disk_space *ret_space)
{
    struct disk *base = overlay_of(disk)->base;
    return base->table->space(base, path, ret_space);
}

/* ---- the asynchronous way ------------------------------------------------------------------ */

static void overlay_submit(struct disk *disk, struct disk_op *op)
{
    op->status =
        op->kind == DISK_OP_SYNC ? 0 : write_bytes(op->file, op->position, op->data, op->len);
    list_append(&overlay_of(disk)->done, &op->link);
}

static void overlay_flush(struct disk *disk)
{
    (void)disk;
}

static int overlay_poll_descriptor(struct disk *disk)
{
    (void)disk;
    return -1;
}

static void overlay_poll(struct disk *disk)
{
    for (struct list *node; (node = list_pop(&overlay_of(disk)->done));) {
        struct disk_op *op = list_entry(node, struct disk_op, link);
        op->done(op, op->status);
    }
}

static void overlay_destroy(struct disk *disk)
{
    struct overlay *overlay = overlay_of(disk);
    for (struct tree_node *at; (at = tree_after(&overlay->nodes, ""));) {
        struct node *node = container_of(at, struct node, by_path);
        (void)tree_remove(&overlay->nodes, node->path);
        node_cut(overlay, node, 0);
        mem_free(node->pages);
        mem_free(node->path);
        mem_free(node);
    }
    mem_free(overlay);
}

struct disk *disk_overlay_create(struct disk *base)
{
    static const struct disk_table table = {
        .name = "overlay",
        .open = overlay_open,
        .close = overlay_close,
        .mkdir = overlay_mkdir,
        .list = overlay_list,
        .read = overlay_read,
        .read_nowait = overlay_read,
        .writev = overlay_writev,
        .fallocate = overlay_fallocate,
        .truncate = overlay_truncate,
        .size = overlay_size,
        .sync = overlay_sync,
        .sync_dir = overlay_sync_dir,
        .sync_all = overlay_sync,
        .rename = overlay_rename,
        .remove = overlay_remove,
        .space = overlay_space,
        .lock = overlay_lock,
        .is_buffered = overlay_is_buffered,
        .descriptor = overlay_descriptor,
        .submit = overlay_submit,
        .flush = overlay_flush,
        .poll_descriptor = overlay_poll_descriptor,
        .poll = overlay_poll,
        .destroy = overlay_destroy,
    };
    struct overlay *overlay = mem_zalloc(1, sizeof(*overlay));
    overlay->disk.table = &table;
    overlay->base = base;
    overlay->nodes.compare = compare_path;
    list_init(&overlay->done);
    return &overlay->disk;
}
