/*
 * @NAME@.c - a stream processor for Millrace: how often has each key been seen?
 *
 * Input   `@NAME@-input`: any records; those with a value shorter than `min.bytes` do not count.
 * Output  `@NAME@-output`: for each record that counts its key, and the count so far as text.
 *
 * The count lives in a store, so it survives restarts and crashes; output, count and position in
 * the input are one commit. include/millrace/processor.h says what else there is.
 */
#include <millrace/processor.h>

#include <stdio.h>

enum { OUTPUT = 0, SEEN = 0 }; /* indexes in the lists below */

static int batch(mr_task *t, mr_batch *b) MR_CB
{
    int64_t min_bytes = t->h->conf_int(t, "min.bytes");

    for (const mr_rec *r; (r = mr_next(b));) {
        char text[32];
        mr_buf key = r->key.p ? r->key : mr_bytes("", 0);
        if ((int64_t)r->value.n < min_bytes)
            continue;
        long long seen = mr_add(t, SEEN, key, 1);
        int len = snprintf(text, sizeof(text), "%lld", seen);
        mr_emit(t, OUTPUT, r->key, mr_bytes(text, (size_t)len));
    }
    return MR_OK;
}

static const mr_in_decl input = { sizeof(input), MR_IN_STREAM, 0, 0, 0, "@NAME@-input" };
static const mr_out_decl output = { sizeof(output), 0, "@NAME@-output", 0, 0 };
static const mr_store_decl seen = { sizeof(seen), MR_STORE_COUNT, 1, 0, 0, 0, 0, "seen" };
static const mr_conf_decl min_bytes = { sizeof(min_bytes), MR_INT, 0, "min.bytes", "0",
    "records with a shorter value do not count" };

static const mr_in_decl *const inputs[] = { &input, NULL };
static const mr_out_decl *const outputs[] = { &output, NULL };
static const mr_store_decl *const stores[] = { &seen, NULL };
static const mr_conf_decl *const conf[] = { &min_bytes, NULL };
static const mr_processor processor = { sizeof(processor), 0, "@NAME@", "1",
    "how often has each key been seen?", inputs, outputs, stores, NULL, conf, NULL, NULL, batch,
    NULL };

static const mr_processor *const processors[] = { &processor, NULL };
static const mr_module module = { MR_MAGIC, sizeof(module), MR_ABI_MAJOR, MR_ABI_MINOR, 0, 0,
    "@NAME@", "1", "", processors, NULL };

const mr_module *mr_module_v0(void) MR_CB
{
    return &module;
}
