/*
 * fuzz_footer.c - anything as the footer of a sealed segment.
 *
 * Its checksum and its root would stop nearly all of it, so both are set right first. What is
 * accepted must be safe to go by (lookups stay inside the segment) and come back the same.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "protocol/base/mem.h"
#include "storage/footer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SUM_SIZE = 8, AT_ROOT = 80, AT_ENTRIES = 92, AT_EXTENTS = 96, ROOT_OF = 16 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void root_set(uint8_t *bytes, size_t size)
{
    uint64_t entries = le_get32(bytes + AT_ENTRIES), extents = le_get32(bytes + AT_EXTENTS);
    uint64_t at = FOOTER_HEAD_SIZE + entries * FOOTER_ENTRY_SIZE;
    if (at > size - SUM_SIZE || extents > (size - SUM_SIZE - at) / 8)
        return;
    struct out run = { 0 };
    out_bytes(&run, bytes + ROOT_OF, 24);
    out_bytes(&run, bytes + at, extents * 8);
    le_put64(bytes + AT_ROOT, XXH3_64bits(run.data, run.len));
    out_done(&run);
}

static void use(const struct footer *footer)
{
    require(footer->extent_count == footer_extent_count(footer->size));
    for (uint32_t i = 0; i < 32; i++) {
        const struct index_entry *entry = index_floor(&footer->index, 1u << i);
        require(!entry || (entry->position < footer->size && entry->offset <= 1u << i));
        entry = index_floor_time(&footer->index, INT64_C(1) << (2 * i));
        require(!entry || entry->max_timestamp < INT64_C(1) << (2 * i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct footer footer, again;
    if (size < FOOTER_HEAD_SIZE + SUM_SIZE) {
        require(footer_decode(bytes_of(data, size), &footer) < 0);
        return 0;
    }
    uint8_t *bytes = mem_alloc(size);
    memcpy(bytes, data, size);
    root_set(bytes, size);
    le_put64(bytes + size - SUM_SIZE, XXH3_64bits(bytes, size - SUM_SIZE));
    if (footer_decode(bytes_of(bytes, size), &footer) == 0) {
        struct out out = { 0 };
        use(&footer);
        footer_encode(&footer, &out);
        require(bytes_equal(bytes_of(out.data, out.len), bytes_of(bytes, size)));
        require(footer_decode(bytes_of(out.data, out.len), &again) == 0);
        footer_done(&again);
        footer_done(&footer);
        out_done(&out);
    }
    mem_free(bytes);
    return 0;
}
