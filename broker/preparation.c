/* See preparation.h. */
#include "broker/preparation.h"

#include <errno.h>

#include "protocol/base/mem.h"

static void keep_errors(struct preparation *preparation, const struct batch_verdict *verdict)
{
    uint32_t count = verdict->error_count;
    if (count > BATCH_ERRORS_MAX)
        count = BATCH_ERRORS_MAX;
    if (count == 0)
        return;
    preparation->errors = mem_alloc(count * sizeof(*preparation->errors));
    memcpy(preparation->errors, verdict->errors, count * sizeof(*preparation->errors));
    preparation->error_count = count;
}

static int level_of(const struct preparation *preparation, enum codec codec)
{
    return (int32_t)codec == preparation->codec ? preparation->level : COMPRESS_LEVEL_DEFAULT;
}

static void rebuild(struct preparation *preparation, const struct batch_verdict *verdict,
    enum codec codec, struct compressor *compressor)
{
    struct batch_recoding recoding = { .codec = codec,
        .level = level_of(preparation, codec),
        .log_append_time = preparation->rules.log_append_time };
    preparation->error =
        batch_rebuild(&preparation->view, verdict, &recoding, compressor, &preparation->rebuilt);
    if (preparation->error)
        return;
    if (preparation->rebuilt.len > preparation->rules.size_max) {
        preparation->outcome = BATCH_TOO_LARGE;
        return;
    }
    preparation->batch = bytes_of(preparation->rebuilt.data, preparation->rebuilt.len);
}

void preparation_run(struct preparation *preparation, struct compressor *compressor)
{
    struct batch_verdict verdict;
    batch_validate(bytes_of(preparation->data, preparation->len), &preparation->rules, compressor,
        &preparation->view, &verdict);
    preparation->outcome = verdict.outcome;
    preparation->finished = true;
    if (verdict.outcome != BATCH_OK) {
        keep_errors(preparation, &verdict);
        return;
    }
    enum codec codec =
        preparation->codec < 0 ? batch_codec(&preparation->view) : (enum codec)preparation->codec;
    if (verdict.rebuild || codec != batch_codec(&preparation->view)) {
        rebuild(preparation, &verdict, codec, compressor);
    } else {
        batch_set_timestamp(
            preparation->data, preparation->rules.log_append_time, verdict.max_timestamp);
        preparation->batch = bytes_of(preparation->data, preparation->len);
    }
    if (preparation->batch.len > preparation->segment_bytes_max) {
        preparation->segment_full = true;
        preparation->batch = bytes_of(NULL, 0);
    }
}

void preparation_done(struct preparation *preparation)
{
    mem_free(preparation->errors);
    out_done(&preparation->rebuilt);
    preparation->errors = NULL;
}
