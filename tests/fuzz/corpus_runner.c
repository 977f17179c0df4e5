/*
 * corpus_runner.c - main for fuzz targets where there is no libFuzzer: feeds every file of the
 * folders named on the command line to the target, once. No file at all is a failure.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_SIZE_MAX = 1 << 20 };

static void feed(const char *folder, const char *name)
{
    char *path = mem_printf("%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    uint8_t *data = mem_alloc(FILE_SIZE_MAX);
    size_t size = fread(data, 1, FILE_SIZE_MAX, file);
    (void)fclose(file);
    /* A block of its exact size, so that a sanitizer sees reads beyond. */
    data = mem_realloc(data, size + !size);
    (void)LLVMFuzzerTestOneInput(data, size);
    mem_free(data);
    mem_free(path);
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (!folder) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *entry; (entry = readdir(folder));) {
            if (entry->d_name[0] == '.')
                continue;
            feed(argv[i], entry->d_name);
            count++;
        }
        (void)closedir(folder);
    }
    printf("%d inputs fed\n", count);
    return count == 0;
}
