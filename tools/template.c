/*
 * template.c - embedded texts with NAME filled in, written where nothing stands yet.
 *
 * All paths are looked at before the first file is written, so that a directory in use stays as it
 * is.
 */
#include "tools/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/base/mem.h"
#include "tools/embedded.h"

int template_check_name(const char *name)
{
    size_t len = strlen(name);
    size_t fit = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    bool letter = name[0] >= 'a' && name[0] <= 'z';

    return letter && fit == len && len <= TEMPLATE_NAME_MAX ? 0 : -EINVAL;
}

/* `text` with each `mark` replaced by `name`, NUL-terminated. */
static char *fill_in(const char *text, const char *mark, const char *name)
{
    struct out out = { 0 };

    for (const char *at; (at = strstr(text, mark)); text = at + strlen(mark)) {
        out_bytes(&out, text, (size_t)(at - text));
        out_text(&out, name);
    }
    out_bytes(&out, text, strlen(text) + 1);
    return (char *)out.data;
}

static char *path_of(const char *directory, const struct embedded_file *file, const char *name)
{
    char *below = fill_in(file->name, "NAME", name);
    char *path = mem_printf("%s/%s", directory, below);

    mem_free(below);
    return path;
}

static int make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int error = mkdir(path, 0777) < 0 && errno != EEXIST ? -errno : 0;
        *slash = '/';
        if (error)
            return error;
    }
    return 0;
}

static int write_file(const char *path, const char *text)
{
    size_t left = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int error = 0;

    if (fd < 0)
        return -errno;
    while (left > 0 && !error) {
        ssize_t written = write(fd, text, left);
        if (written < 0)
            error = errno == EINTR ? 0 : -errno;
        else
            text += written, left -= (size_t)written;
    }
    if (close(fd) < 0 && !error)
        error = -errno;
    return error;
}

static int write_embedded(char *path, const struct embedded_file *file, const char *name)
{
    char *text = fill_in(file->text, "@NAME@", name);
    int error = make_directories(path);

    if (!error)
        error = write_file(path, text);
    mem_free(text);
    return error;
}

int template_write(const char *directory, const char *name, struct out *failed_path)
{
    int error = 0;

    for (int writing = 0; writing <= 1; writing++)
        for (const struct embedded_file *file = embedded_files; file->name && !error; file++) {
            char *path = path_of(directory, file, name);
            if (writing)
                error = write_embedded(path, file, name);
            else if (access(path, F_OK) == 0)
                error = -EEXIST;
            if (error)
                out_bytes(failed_path, path, strlen(path) + 1);
            mem_free(path);
        }
    return error;
}
