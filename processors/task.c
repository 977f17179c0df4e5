/*
 * A task's step. See task.h for what it promises.
 *
 * The happy path of a step:
 *  - keep the unit of the step before (it is in the log now)
 *  - fire: tell the windows that are due, in the order of end + grace, then of their stores
 *  - fill: an array of up to 256 records in the order of the data; it ends early at the record
 *    behind which a window may close
 *  - batch: the plugin works on the array; its effects go straight into state and output batches,
 *    each with a journal entry
 *  - again from fire, until there are no records or the unit is full
 *  - seal: changed keys become changelog records, batches get their checksums, the frame is written
 *
 * Verdicts: DROP and DEAD undo the journal down to the mark of the record in hand (`hand`, found
 * from batch.next at the first host call for it) and go on behind it. Everything else that is not
 * OK undoes the whole unit: journal, intakes, time; the instance is destroyed and made again, since
 * its own memory may know of the undone records.
 *
 * Invariants
 *  - a record is "accounted" (its offset and its time are behind us) before the next one is in hand
 *  - no record is in hand while windows are told
 *  - closed_end of the slices changes between arrays only
 */
#include "processors/task.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/murmur2.h"

enum { EXTRAS_MAX = 64 << 20, EXTRAS_FULL = 1 << 20 };

/* How a part of a step ended. LATER: commit what there is, then step again. */
enum { GO = 0, STOP, LATER, RETRY, FAIL };

/* ---- life ------------------------------------------------------------------------------------ */

struct task *task_create(const struct settings *settings, int32_t index)
{
    struct task *task = mem_zalloc(1, sizeof(*task));
    task->face.h = &task_host;
    task->settings = settings;
    task->processor = settings->processor;
    task->index = index;
    task->advance_to = task->watermark = task->low = TASK_NO_TIME;
    task->next_due = INT64_MAX;
    task->unit_bytes = TASK_UNIT_BYTES;
    task->unit_bytes_max = TASK_UNIT_BYTES_MAX;
    task->stores = mem_zalloc(settings->store_count, sizeof(*task->stores));
    for (size_t i = 0; i < settings->store_count; i++) {
        struct task_store *store = &task->stores[i];
        store->decl = settings->processor->stores[i];
        intake_init(&store->log, 0);
        if (store->decl->kind == MR_STORE_WINDOW_COUNT)
            slices_init(&store->slices, &settings->windows[store->decl->window], &task->journal);
        else
            keyed_init(&store->keyed, &task->journal);
    }
    task->target_count = settings->output_count + settings->store_count + 1;
    task->targets = mem_zalloc(task->target_count, sizeof(*task->targets));
    outputs_init(&task->outputs, TASK_BATCH_MAX, &task->journal);
    compressor_init(&task->compressor);
    arena_init(&task->extras, EXTRAS_MAX);
    return task;
}

struct task_input *task_add_input(struct task *task, uint16_t input, int32_t partition,
    struct uuid topic, const struct task_frame_input *was)
{
    mem_grow(task->inputs, &task->input_capacity, task->input_count + 1);
    for (size_t i = 0; i < task->input_count; i++)
        CHECK(!task->inputs[i].intake.bytes_held); /* lists of chunks don't survive a move */
    struct task_input *added = &task->inputs[task->input_count++];
    *added = (struct task_input){ .input = input,
        .partition = partition,
        .topic = topic,
        .active = true,
        .max_ts = was->max_ts,
        .order = { was->order_ts, was->order_seq } };
    for (size_t i = 0; i < task->input_count; i++) {
        struct intake *intake = &task->inputs[i].intake;
        intake_init(intake, &task->inputs[i] == added ? was->position : intake->position);
    }
    return added;
}

static void clear_result(struct task *task)
{
    task->status = TASK_IDLE;
    task->reason[0] = '\0';
    task->more = false;
    task->sealed.len = task->frame.len = 0;
    task->batch_count = 0;
    for (size_t i = 0; i < task->line_count; i++)
        mem_free(task->lines[i].text);
    task->line_count = 0;
    task->lines_lost = 0;
}

static void settle(struct task *task, bool keep)
{
    for (size_t i = 0; i < task->settings->store_count; i++) {
        if (task->stores[i].decl->kind == MR_STORE_WINDOW_COUNT && keep)
            slices_settle(&task->stores[i].slices);
    }
    if (keep)
        journal_keep(&task->journal);
    else
        journal_undo(&task->journal, 0);
    for (size_t i = 0; i < task->settings->store_count; i++) {
        struct task_store *store = &task->stores[i];
        if (store->decl->kind != MR_STORE_WINDOW_COUNT)
            keyed_settle(&store->keyed);
        else if (!keep)
            slices_settle(&store->slices);
    }
    outputs_reset(&task->outputs);
    task->unit_sealed = false;
}

void task_destroy(struct task *task)
{
    if (!task)
        return;
    settle(task, false);
    clear_result(task);
    for (size_t i = 0; i < task->input_count; i++) {
        intake_drop(&task->inputs[i].intake, true);
        intake_done(&task->inputs[i].intake);
    }
    for (size_t i = 0; i < task->settings->store_count; i++) {
        struct task_store *store = &task->stores[i];
        intake_drop(&store->log, true);
        intake_done(&store->log);
        if (store->decl->kind == MR_STORE_WINDOW_COUNT)
            slices_done(&store->slices);
        else
            keyed_done(&store->keyed);
    }
    for (size_t i = 0; i < task->metric_count; i++)
        mem_free(task->metrics[i].name);
    for (size_t i = 0; i < TASK_SCANS_MAX; i++)
        out_done(&task->scans[i].high);
    outputs_done(&task->outputs);
    journal_done(&task->journal);
    compressor_done(&task->compressor);
    arena_done(&task->extras);
    slice_rows_done(&task->rows);
    out_done(&task->sealed);
    out_done(&task->frame);
    out_done(&task->scratch);
    mem_free(task->batches);
    mem_free(task->inputs);
    mem_free(task->stores);
    mem_free(task->targets);
    mem_free(task);
}

void task_drop_finished(struct task *task)
{
    for (size_t i = 0; i < task->input_count; i++)
        intake_drop(&task->inputs[i].intake, false);
    for (size_t i = 0; i < task->settings->store_count; i++)
        intake_drop(&task->stores[i].log, false);
}

uint32_t task_target_changelog(const struct task *task, size_t store)
{
    return (uint32_t)(task->settings->output_count + store);
}

uint32_t task_target_dead(const struct task *task)
{
    return (uint32_t)task->target_count - 1;
}

/* ---- reasons --------------------------------------------------------------------------------- */

PRINTF_LIKE(2, 3)
static int fail(struct task *task, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(task->reason, sizeof(task->reason), format, args);
    va_end(args);
    return FAIL;
}

/* "posts-0 at offset 17", of a record in the array. */
static const char *place_of(const struct task *task, uint32_t index, char *to, size_t size)
{
    const mr_rec *rec = &task->recs[index];
    (void)snprintf(to, size, "%s-%d at offset %lld", task->settings->inputs[rec->input],
        rec->partition, (long long)rec->offset);
    return to;
}

int task_stick(struct task *task, int code, const char *format, ...)
{
    if (task->sticky)
        return code;
    char text[200], place[290];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    task->sticky = code;
    bool in_hand = task->callback == CALL_BATCH && task->hand;
    (void)snprintf(task->why, sizeof(task->why), "%s%s%s", text,
        in_hand ? ", with the record of " : "",
        in_hand ? place_of(task, task->rec_first + task->hand - 1, place, sizeof(place)) : "");
    return code;
}

/* ---- time ------------------------------------------------------------------------------------ */

static bool is_time(int64_t ts)
{
    return ts >= 0 && ts <= SLICES_TIME_MAX;
}

/* The least of the active inputs' times, with `ts` in the place of one of them; of no active one:
 * the greatest of all. */
static int64_t lowest(
    const struct task *task, bool ahead, const struct task_input *with, int64_t with_ts)
{
    int64_t low = INT64_MAX, high = TASK_NO_TIME;
    bool any = false;
    for (size_t i = 0; i < task->input_count; i++) {
        const struct task_input *input = &task->inputs[i];
        int64_t ts = input == with ? with_ts : ahead ? input->ahead_ts : input->max_ts;
        any |= input->active;
        if (input->active && ts < low)
            low = ts;
        if (ts > high)
            high = ts;
    }
    return any ? low : high;
}

static void note_time(struct task *task, struct task_input *input, int64_t ts)
{
    int64_t before = input->max_ts;
    if (ts <= before)
        return;
    input->max_ts = ts;
    if (before > task->low)
        return;
    task->low = lowest(task, false, NULL, 0);
    if (task->low > task->watermark)
        task->watermark = task->low;
}

static void note_ahead(struct task *task, struct task_input *input, int64_t ts)
{
    int64_t before = input->ahead_ts;
    if (ts <= before)
        return;
    input->ahead_ts = ts;
    if (before > task->ahead_low)
        return;
    task->ahead_low = lowest(task, true, NULL, 0);
    if (task->ahead_low > task->ahead_watermark)
        task->ahead_watermark = task->ahead_low;
}

int64_t task_watermark_with(const struct task *task, const struct task_input *input, int64_t ts)
{
    if (ts <= input->max_ts || input->max_ts > task->low)
        return task->watermark;
    int64_t low = lowest(task, false, input, ts);
    return low > task->watermark ? low : task->watermark;
}

static int64_t boundary_of(const struct task *task)
{
    int64_t boundary = INT64_MAX;
    for (size_t i = 0; i < task->settings->store_count; i++) {
        if (task->stores[i].decl->kind != MR_STORE_WINDOW_COUNT)
            continue;
        int64_t own = slices_boundary(&task->stores[i].slices);
        if (own < boundary)
            boundary = own;
    }
    return boundary;
}

static bool crosses(const struct task *task, int64_t watermark)
{
    return task->boundary != INT64_MAX && watermark != TASK_NO_TIME && watermark >= task->boundary;
}

/* ---- limits ---------------------------------------------------------------------------------- */

static size_t unit_bytes(const struct task *task)
{
    size_t bytes = task->outputs.bytes;
    for (size_t i = 0; i < task->settings->store_count; i++)
        bytes += task->stores[i].keyed.dirty_bytes + task->stores[i].slices.dirty_bytes;
    return bytes;
}

static bool is_full(const struct task *task)
{
    return unit_bytes(task) >= task->unit_bytes || task->journal.count >= TASK_EFFECTS_MAX ||
           task->counters.records - task->mark_counters.records >= TASK_RECORDS_MAX;
}

void task_cut(struct task *task)
{
    if (task->callback == CALL_BATCH)
        task->batch.n = task->call_max = task->hand;
    else if (task->callback == CALL_WINDOW && task->window_rows.next < task->call_max)
        task->window_rows.n = task->call_max = task->window_rows.next ? task->window_rows.next : 1;
}

int task_effect(struct task *task)
{
    size_t bytes = unit_bytes(task), state = 0;
    for (size_t i = 0; i < task->settings->store_count; i++)
        state += task->stores[i].keyed.bytes + task->stores[i].slices.bytes;
    if (state > (size_t)task->settings->state_bytes_max)
        return task_stick(task, MR_ELIMIT,
            "the state is larger than state.bytes.max (%lld bytes): keep less or raise it",
            (long long)task->settings->state_bytes_max);
    if (bytes > task->unit_bytes_max)
        return task_stick(task, MR_ELIMIT,
            "the effects of one record are larger than the largest unit (%zu bytes)",
            task->unit_bytes_max);
    if (bytes >= task->unit_bytes || task->journal.count >= TASK_EFFECTS_MAX)
        task_cut(task);
    return 0;
}

/* ---- calling the plugin ---------------------------------------------------------------------- */

static void enter(struct task *task, enum task_callback callback)
{
    task->callback = callback;
    task->sticky = 0;
    task->why[0] = '\0';
    task->hand = task->accounted = task->call_from = 0;
    atomic_store_explicit(&task->running, (int)callback, memory_order_relaxed);
    atomic_fetch_add_explicit(&task->progress, 1, memory_order_relaxed);
}

static void leave(struct task *task)
{
    task->callback = CALL_NONE;
    atomic_store_explicit(&task->running, CALL_NONE, memory_order_relaxed);
    atomic_fetch_add_explicit(&task->progress, 1, memory_order_relaxed);
    for (size_t i = 0; i < TASK_SCANS_MAX; i++)
        task->scans[i].open = false;
}

/* A verdict that ends the unit. */
static int end_unit(struct task *task, const char *callback, int verdict)
{
    if (task->sticky)
        return fail(task, "%s", task->why);
    if (verdict == MR_RETRY)
        return fail(task, "`%s` asks for a retry%s%s", callback, *task->why ? ": " : "", task->why),
               RETRY;
    if (verdict == MR_FATAL)
        return fail(task, "`%s` gave up%s%s", callback, *task->why ? ": " : "", task->why);
    return fail(task, "`%s` answered %d, which is not allowed there", callback, verdict);
}

static int ensure_created(struct task *task)
{
    if (task->created)
        return GO;
    task->created = true;
    task->face.self = NULL;
    if (!task->processor->create)
        return GO;
    enter(task, CALL_CREATE);
    int verdict = task->processor->create(&task->face);
    leave(task);
    return verdict == MR_OK && !task->sticky ? GO : end_unit(task, "create", verdict);
}

void task_end(struct task *task)
{
    if (!task->created)
        return;
    task->created = false;
    if (!task->processor->destroy)
        return;
    enter(task, CALL_DESTROY);
    task->processor->destroy(&task->face);
    leave(task);
    task->face.self = NULL;
}

/* ---- filling the array ----------------------------------------------------------------------- */

static mr_buf buf_of(struct bytes bytes)
{
    return (mr_buf){ (const char *)bytes.data, bytes.len };
}

/* The decoded headers of a record, for an input that wants them. */
static const mr_extra *extra_of(struct task *task, const struct record_view *record)
{
    if (record->header_count == 0)
        return NULL;
    size_t count = (size_t)record->header_count;
    mr_extra *extra = arena_alloc(&task->extras, sizeof(*extra));
    mr_kv *all = extra ? arena_alloc(&task->extras, count * sizeof(*all)) : NULL;
    if (!all)
        return NULL;
    struct bytes left = record->headers;
    struct record_header header;
    for (size_t i = 0; i < count && record_header_next(&left, &header); i++)
        all[i] = (mr_kv){ buf_of(header.key), buf_of(header.value) };
    *extra = (mr_extra){ sizeof(*extra), (uint32_t)count, all };
    return extra;
}

/* Takes the head of the input into the array. */
static void add_record(struct task *task, struct task_input *input)
{
    const struct record_view *head = &input->intake.head;
    uint32_t flags = task->processor->inputs[input->input]->flags;
    uint32_t i = task->rec_count++;
    task->recs[i] = (mr_rec){
        .key = buf_of(head->key),
        .value = buf_of(head->value),
        .ts = head->timestamp,
        .offset = head->offset,
        .extra = flags & MR_IN_HEADERS ? extra_of(task, head) : NULL,
        .partition = input->partition,
        .input = input->input,
    };
    bool told = flags & MR_IN_EVENT_TIME;
    task->metas[i] = (struct task_meta){
        .headers = head->headers,
        .header_count = head->header_count,
        .slot = (uint32_t)(input - task->inputs),
        .order = input->ahead_order,
        .event_ts = !told && is_time(head->timestamp) ? head->timestamp : TASK_NO_TIME,
    };
    input->handed = true;
    intake_take(&input->intake);
    note_ahead(task, input, task->metas[i].event_ts);
}

/* The array ends here: it is full, or a window may close behind its last record, or the next record
 * is of the other kind of time (so that what was computed ahead stays true). */
static bool array_ends(const struct task *task, const struct task_input *next)
{
    if (task->rec_count == 0)
        return false;
    if (task->rec_count == TASK_ARRAY_MAX || crosses(task, task->ahead_watermark) ||
        task->extras.used > EXTRAS_FULL)
        return true;
    const mr_in_decl *const *inputs = task->processor->inputs;
    uint32_t last = inputs[task->recs[task->rec_count - 1].input]->flags;
    return task->boundary != INT64_MAX &&
           ((last ^ inputs[next->input]->flags) & MR_IN_EVENT_TIME) != 0;
}

/* Damage fails the task, but not the records before it: they are committed first. */
static int bad_input(struct task *task, const struct task_input *input)
{
    if (task->rec_count)
        return STOP;
    if (task->counters.records > task->mark_counters.records)
        return LATER;
    return fail(task, "input %s-%d: the record batch at offset %lld is damaged",
        task->settings->inputs[input->input], input->partition, (long long)input->intake.position);
}

static enum intake_outcome peek(struct task *task, struct task_input *input)
{
    return intake_peek(&input->intake, &task->compressor, input->handed);
}

/* Where a record stands among those of all inputs: see task.h. */
struct order {
    int64_t ts;
    uint64_t seq;
    const struct task_input *input;
    bool record; /* false: no record is there yet, and one may come from here on */
};

static bool is_before(const struct order *a, const struct order *b)
{
    if (a->ts != b->ts)
        return a->ts < b->ts;
    return a->seq != b->seq ? a->seq < b->seq : a->input < b->input;
}

static struct order order_of(const struct task_input *input, bool record)
{
    struct order order = { input->ahead_order.ts, input->ahead_order.seq + 1, input, record };
    if (input->ahead_order.ts == TASK_NO_TIME)
        order.seq = 0;
    if (record && input->intake.head.timestamp > order.ts) {
        order.ts = input->intake.head.timestamp;
        order.seq = 0;
    }
    return order;
}

/* The first and the second in order. GO, or how the array ends: STOP (it has what there is). */
static int choose(struct task *task, struct order *ret_first, struct order *ret_second)
{
    static const struct order none = { INT64_MAX, UINT64_MAX, NULL, false };
    *ret_first = *ret_second = none;
    for (size_t i = 0; i < task->input_count; i++) {
        const struct task_input *input = &task->inputs[i];
        enum intake_outcome outcome = peek(task, &task->inputs[i]);
        if (outcome == INTAKE_BAD)
            return bad_input(task, input);
        if (outcome == INTAKE_BLOCKED)
            return STOP;
        if (outcome == INTAKE_EMPTY && !input->active)
            continue;
        struct order order = order_of(input, outcome == INTAKE_RECORD);
        if (is_before(&order, ret_first)) {
            *ret_second = *ret_first;
            *ret_first = order;
        } else if (is_before(&order, ret_second)) {
            *ret_second = order;
        }
    }
    return ret_first->record ? GO : STOP;
}

static int fill_aligned(struct task *task)
{
    for (;;) {
        struct order first, second;
        int r = choose(task, &first, &second);
        if (r)
            return r == STOP ? GO : r;
        struct task_input *input = &task->inputs[first.input - task->inputs];
        do {
            if (array_ends(task, input))
                return GO;
            input->ahead_order = (struct task_order){ first.ts, first.seq };
            add_record(task, input);
            if (peek(task, input) != INTAKE_RECORD)
                break;
            first = order_of(input, true);
        } while (is_before(&first, &second));
    }
}

static int fill_in_turn(struct task *task)
{
    for (size_t tried = 0; tried < task->input_count; tried++) {
        struct task_input *input = &task->inputs[task->turn % task->input_count];
        enum intake_outcome outcome;
        while ((outcome = peek(task, input)) == INTAKE_RECORD) {
            if (array_ends(task, input))
                return GO;
            add_record(task, input);
        }
        if (outcome == INTAKE_BAD)
            return bad_input(task, input) == STOP ? GO : bad_input(task, input);
        if (outcome == INTAKE_BLOCKED)
            return GO;
        task->turn++;
    }
    return GO;
}

static int fill(struct task *task)
{
    task->rec_first = task->rec_count = 0;
    arena_reset(&task->extras);
    task->boundary = boundary_of(task);
    task->ahead_low = task->low;
    task->ahead_watermark = task->watermark;
    for (size_t i = 0; i < task->input_count; i++) {
        task->inputs[i].ahead_ts = task->inputs[i].max_ts;
        task->inputs[i].ahead_order = task->inputs[i].order;
        task->inputs[i].handed = false;
    }
    return task->settings->align ? fill_aligned(task) : fill_in_turn(task);
}

/* ---- the batch callback ---------------------------------------------------------------------- */

/* The records of the call before `upto` are behind us. */
static void account(struct task *task, uint32_t upto)
{
    for (; task->accounted < upto; task->accounted++) {
        uint32_t i = task->rec_first + task->accounted;
        struct task_input *input = &task->inputs[task->metas[i].slot];
        note_time(task, input, task->metas[i].event_ts);
        input->intake.position = task->recs[i].offset + 1;
        input->order = task->metas[i].order;
        task->counters.records++;
    }
}

bool task_touch(struct task *task)
{
    uint32_t next = task->batch.next;
    if (task->callback != CALL_BATCH || next <= task->call_from || next > task->call_max ||
        next < task->hand) {
        (void)task_stick(task, MR_EINVAL,
            "a host call that needs a record in hand came without one (take records with mr_next)");
        return false;
    }
    atomic_fetch_add_explicit(&task->progress, 1, memory_order_relaxed);
    if (next != task->hand) {
        account(task, next - 1);
        task->hand = next;
        task->hand_mark = task->journal.count;
    }
    return true;
}

static void add_header(struct out *to, const char *key, const char *value)
{
    record_header_add(to, bytes_text(key), bytes_text(value));
}

/* The record to the dead-letter topic, with where it came from and why. */
static void bury(struct task *task, uint32_t index)
{
    const mr_rec *rec = &task->recs[index];
    const struct task_meta *meta = &task->metas[index];
    char number[32];
    task->scratch.len = 0;
    out_bytes(&task->scratch, meta->headers.data, meta->headers.len);
    add_header(&task->scratch, "millrace.topic", task->settings->inputs[rec->input]);
    (void)snprintf(number, sizeof(number), "%d", rec->partition);
    add_header(&task->scratch, "millrace.partition", number);
    (void)snprintf(number, sizeof(number), "%lld", (long long)rec->offset);
    add_header(&task->scratch, "millrace.offset", number);
    add_header(&task->scratch, "millrace.reason", *task->why ? task->why : "no reason given");
    struct record_view record = {
        .timestamp = rec->ts,
        .key = bytes_of(rec->key.p, rec->key.n),
        .value = bytes_of(rec->value.p, rec->value.n),
        .headers = bytes_of(task->scratch.data, task->scratch.len),
        .header_count = meta->header_count + 4,
    };
    uint32_t target = task_target_dead(task);
    (void)task_emit(task, target, rec->partition % task->targets[target].partitions, &record);
    task->counters.dead++;
}

/* The verdict on the record in hand: undo its effects, go on behind it. */
static int settle_record(struct task *task, int verdict, uint32_t next)
{
    if (task->hand == next)
        journal_undo(&task->journal, task->hand_mark);
    account(task, next);
    if (verdict == MR_DROP)
        task->counters.dropped++;
    else
        bury(task, task->rec_first + next - 1);
    task->why[0] = '\0';
    task->call_from = next;
    return task->sticky ? end_unit(task, "batch", verdict) : GO;
}

static int call_batch(struct task *task)
{
    uint32_t count = task->rec_count - task->rec_first;
    enter(task, CALL_BATCH);
    task->batch = (mr_batch){ sizeof(mr_batch), count, 0, 0, &task->recs[task->rec_first] };
    task->call_max = count;
    int r = GO;
    while (r == GO && task->call_from < task->call_max) {
        int verdict = task->processor->batch(&task->face, &task->batch);
        uint32_t next = task->batch.next;
        if (task->sticky)
            r = end_unit(task, "batch", verdict);
        else if (next > task->call_max || next < task->call_from || next < task->hand)
            r = fail(task, "`batch` went past the end of its batch (walk it with mr_next)");
        else if ((verdict == MR_DROP || verdict == MR_DEAD) && next > task->call_from)
            r = settle_record(task, verdict, next);
        else if (verdict == MR_DROP || verdict == MR_DEAD)
            r = fail(task, "`batch` gave a verdict without a record in hand");
        else if (verdict != MR_OK)
            r = end_unit(task, "batch", verdict);
        else if (next < task->call_max)
            r = fail(task, "`batch` answered MR_OK before the end of its batch");
        else
            task->call_from = next;
    }
    if (r == GO)
        account(task, task->call_max);
    leave(task);
    task->rec_first += task->call_max;
    return r;
}

/* ---- windows --------------------------------------------------------------------------------- */

/* The due window that closes first. */
static bool next_window(struct task *task)
{
    int64_t best = INT64_MAX;
    for (size_t i = 0; i < task->settings->store_count; i++) {
        struct slices *slices = &task->stores[i].slices;
        int64_t end;
        if (task->stores[i].decl->kind != MR_STORE_WINDOW_COUNT ||
            !slices_due(slices, task->watermark, &end) || end + slices->spec.grace_ms >= best)
            continue;
        best = end + slices->spec.grace_ms;
        task->firing = (struct task_firing){ .on = true, .store = (uint16_t)i, .end = end };
    }
    return task->firing.on;
}

static void prepare_rows(struct task *task, uint32_t count)
{
    struct task_firing *firing = &task->firing;
    int64_t start = firing->end - task->stores[firing->store].slices.spec.size_ms;
    for (uint32_t i = 0; i < count; i++) {
        const struct slice_row *row = &task->rows.rows[firing->told + i];
        task->row_array[i] = (mr_row){
            .key = { (const char *)row->key, row->key_len }, .num = row->num, .win_start = start
        };
    }
    task->window_rows = (mr_rows){
        .size = sizeof(mr_rows),
        .n = count,
        .flags = (firing->told == 0 ? MR_ROWS_FIRST : 0u) |
                 (firing->told + count == task->rows.count ? MR_ROWS_LAST : 0u),
        .rows = task->row_array,
        .first = firing->told,
    };
}

static int call_window(struct task *task)
{
    struct task_firing *firing = &task->firing;
    int64_t size_ms = task->stores[firing->store].slices.spec.size_ms;
    uint64_t left = task->rows.count - firing->told;
    enter(task, CALL_WINDOW);
    task->call_max = left < TASK_ARRAY_MAX ? (uint32_t)left : TASK_ARRAY_MAX;
    prepare_rows(task, task->call_max);
    const mr_window window = { .size = sizeof(window),
        .store = firing->store,
        .flags = MR_WIN_FINAL,
        .start = firing->end - size_ms,
        .end = firing->end };
    int verdict = task->processor->window(&task->face, &window, &task->window_rows);
    uint32_t next = task->window_rows.next;
    leave(task);
    if (task->sticky || verdict != MR_OK)
        return end_unit(task, "window", verdict);
    if (next != task->call_max)
        return fail(task, next < task->call_max
                              ? "`window` answered MR_OK before the end of its rows"
                              : "`window` went past the end of its rows (walk with mr_next_row)");
    firing->told += next;
    return GO;
}

/* Tells every window that is due. LATER: the unit is full, some remain. */
static int fire(struct task *task)
{
    while (task->firing.on || next_window(task)) {
        struct slices *slices = &task->stores[task->firing.store].slices;
        if (!task->firing.loaded)
            slices_rows(slices, task->firing.end, &task->rows);
        task->firing.loaded = true;
        while (task->firing.told < task->rows.count) {
            if (is_full(task))
                return LATER;
            int r = call_window(task);
            if (r)
                return r;
        }
        slices_close(slices, task->firing.end);
        task->firing = (struct task_firing){ 0 };
    }
    for (size_t i = 0; task->watermark != TASK_NO_TIME && i < task->settings->store_count; i++) {
        if (task->stores[i].decl->kind == MR_STORE_WINDOW_COUNT)
            slices_advance(&task->stores[i].slices, task->watermark);
    }
    return GO;
}

/* ---- a unit ---------------------------------------------------------------------------------- */

static void begin_unit(struct task *task)
{
    if (task->unit_sealed)
        settle(task, true);
    clear_result(task);
    task->turn++; /* nobody starves when every unit ends full */
    task->mark_watermark = task->watermark;
    task->mark_firing = task->firing;
    task->mark_counters = task->counters;
    for (size_t i = 0; i < task->input_count; i++) {
        task->inputs[i].mark_ts = task->inputs[i].max_ts;
        task->inputs[i].mark_order = task->inputs[i].order;
    }
    for (size_t i = 0; i < task->settings->store_count; i++) {
        task->stores[i].mark_closed = task->stores[i].slices.closed_end;
        task->stores[i].slices.log_offset = task->stores[i].log_next;
    }
    task->low = lowest(task, false, NULL, 0);
    if (task->low > task->watermark)
        task->watermark = task->low;
}

static void undo_unit(struct task *task)
{
    settle(task, false);
    task->watermark = task->mark_watermark;
    task->firing = task->mark_firing;
    task->firing.loaded = false;
    task->counters = task->mark_counters;
    for (size_t i = 0; i < task->input_count; i++) {
        task->inputs[i].max_ts = task->inputs[i].mark_ts;
        task->inputs[i].order = task->inputs[i].mark_order;
        intake_undo(&task->inputs[i].intake);
    }
    for (size_t i = 0; i < task->settings->store_count; i++)
        task->stores[i].slices.closed_end = task->stores[i].mark_closed;
    task->rec_first = task->rec_count = 0;
    task_end(task);
}

/* All inputs are used up and inactive: time goes on. True if it did. */
static bool advance(struct task *task)
{
    for (size_t i = 0; i < task->input_count; i++) {
        if (task->inputs[i].active)
            return false;
    }
    if (task->advance_to <= task->watermark)
        return false;
    task->watermark = task->advance_to;
    return true;
}

static int run_unit(struct task *task)
{
    for (;;) {
        int r = fire(task);
        if (r)
            return r;
        if (is_full(task))
            return LATER;
        if (task->rec_first == task->rec_count) {
            r = fill(task);
            if (r)
                return r;
            if (task->rec_count == 0 && !advance(task))
                return GO;
            if (task->rec_count == 0)
                continue;
        }
        r = call_batch(task);
        if (r)
            return r;
    }
}

/* Records in the array that the unit has no room for come again. */
static void put_back(struct task *task)
{
    bool rest = task->rec_first < task->rec_count;
    for (size_t i = 0; i < task->input_count; i++) {
        struct task_input *input = &task->inputs[i];
        if (rest && input->handed)
            intake_seek(&input->intake);
        else
            intake_skip_gap(&input->intake);
    }
    task->rec_first = task->rec_count = 0;
}

/* ---- sealing --------------------------------------------------------------------------------- */

struct change {
    struct task *task;
    uint32_t target;
    int status;
};

static void log_change(void *context, struct bytes key, struct bytes value)
{
    struct change *change = context;
    struct task *task = change->task;
    struct record_view record = { .timestamp = task->now_ms, .key = key, .value = value };
    if (change->status == 0)
        change->status = outputs_append(&task->outputs, change->target, task->index, &record,
            CODEC_NONE, task->targets[change->target].size_max);
}

static int log_changes(struct task *task)
{
    for (size_t i = 0; i < task->settings->store_count; i++) {
        struct task_store *store = &task->stores[i];
        struct change change = { task, task_target_changelog(task, i), 0 };
        if (store->decl->kind == MR_STORE_WINDOW_COUNT)
            slices_changes(&store->slices, log_change, &change);
        else
            keyed_changes(&store->keyed, log_change, &change);
        if (change.status)
            return fail(task,
                "store '%s': a change is larger than its changelog takes (max.message.bytes %zu)",
                store->decl->name, task->targets[change.target].size_max);
    }
    return GO;
}

static void write_frame(struct task *task)
{
    struct task_frame frame = {
        .seq = task->seq,
        .watermark = task->watermark,
        .records = task->counters.records,
        .emitted = task->counters.emitted,
        .late = task->counters.late,
        .dropped = task->counters.dropped,
        .dead = task->counters.dead,
        .firing = task->firing.on,
        .firing_store = task->firing.store,
        .firing_end = task->firing.end,
        .firing_told = task->firing.told,
        .inputs = mem_zalloc(task->input_count, sizeof(struct task_frame_input)),
        .input_count = task->input_count,
        .stores = mem_zalloc(task->settings->store_count, sizeof(struct task_frame_store)),
        .store_count = task->settings->store_count,
    };
    for (size_t i = 0; i < task->input_count; i++) {
        const struct task_input *input = &task->inputs[i];
        frame.inputs[i] = (struct task_frame_input){ input->topic, input->partition,
            input->intake.position, input->max_ts, input->order.ts, input->order.seq };
    }
    for (size_t i = 0; i < frame.store_count; i++) {
        struct task_store *store = &task->stores[i];
        bool windowed = store->decl->kind == MR_STORE_WINDOW_COUNT;
        int64_t log_start = windowed ? slices_log_start(&store->slices) : store->log_begin;
        store->log_start = log_start < store->log_next ? log_start : store->log_next;
        frame.stores[i] = (struct task_frame_store){
            .name = bytes_text(store->decl->name),
            .kind = store->decl->kind,
            .version = store->decl->version,
            .size_ms = store->slices.spec.size_ms,
            .step_ms = store->slices.spec.step_ms,
            .changelog = store->changelog,
            .log_start = store->log_start,
            .closed_end = windowed ? store->slices.closed_end : INT64_MIN,
        };
    }
    task_frame_write(&frame, &task->frame);
    task_frame_done(&frame);
}

static bool has_changed(const struct task *task)
{
    bool changed = task->journal.count > 0 || task->firing.on != task->mark_firing.on ||
                   task->firing.told != task->mark_firing.told;
    for (size_t i = 0; !changed && i < task->input_count; i++)
        changed = task->inputs[i].intake.position != task->inputs[i].intake.mark_position;
    return changed;
}

static int seal(struct task *task)
{
    if (!has_changed(task))
        return GO;
    int r = log_changes(task);
    if (r)
        return r;
    r = outputs_seal(&task->outputs, &task->compressor, &task->sealed, &task->batches,
        &task->batch_count, &task->batch_capacity);
    if (r)
        return fail(task, "a batch can't be built: %s", strerror(-r));
    task->seq++;
    for (size_t i = 0; i < task->input_count; i++)
        intake_seal(&task->inputs[i].intake);
    write_frame(task);
    task->unit_sealed = true;
    task->status = TASK_SEALED;
    return GO;
}

static int64_t next_due(const struct task *task)
{
    int64_t due = task->firing.on ? task->watermark : INT64_MAX;
    for (size_t i = 0; i < task->settings->store_count; i++) {
        if (task->stores[i].decl->kind != MR_STORE_WINDOW_COUNT)
            continue;
        int64_t own = slices_next_due(&task->stores[i].slices);
        if (own < due)
            due = own;
    }
    return due;
}

void task_step(struct task *task)
{
    begin_unit(task);
    int r = ensure_created(task);
    if (r == GO)
        r = run_unit(task);
    if (r == GO || r == LATER) {
        task->more = r == LATER;
        put_back(task);
        r = seal(task);
    }
    if (r != GO) {
        undo_unit(task);
        task->sealed.len = task->frame.len = 0;
        task->batch_count = 0;
        task->more = false;
        task->status = r == RETRY ? TASK_RETRY : TASK_FAILED;
    }
    task->next_due = next_due(task);
}

/* ---- effects on outputs ---------------------------------------------------------------------- */

int task_emit(
    struct task *task, uint32_t target, int32_t partition, const struct record_view *record)
{
    bool dead = target == task_target_dead(task);
    int r = outputs_append(&task->outputs, target, partition, record,
        dead ? CODEC_NONE : task->settings->compression, task->targets[target].size_max);
    if (r)
        return task_stick(task, MR_ELIMIT,
            "a record for %s is larger than the topic takes (max.message.bytes %zu)",
            dead ? "the dead-letter topic" : task->settings->outputs[target],
            task->targets[target].size_max);
    if (!dead)
        task->counters.emitted++;
    return task_effect(task);
}

/* ---- coming back ----------------------------------------------------------------------------- */

static int resume_store(
    struct task *task, struct task_store *store, const struct task_frame_store *was)
{
    if (was->kind != store->decl->kind || was->version != store->decl->version ||
        was->size_ms != store->slices.spec.size_ms || was->step_ms != store->slices.spec.step_ms) {
        (void)fail(task,
            "the state of store '%s' was written as kind %u, version %u, window %lld/%lld ms, and "
            "is now declared as kind %u, version %u, window %lld/%lld ms; unload the processor "
            "with its state to begin anew",
            store->decl->name, was->kind, was->version, (long long)was->size_ms,
            (long long)was->step_ms, store->decl->kind, store->decl->version,
            (long long)store->slices.spec.size_ms, (long long)store->slices.spec.step_ms);
        return -EINVAL;
    }
    if (store->decl->kind == MR_STORE_WINDOW_COUNT)
        store->slices.closed_end = was->closed_end;
    store->log.position = store->log.mark_position = store->log_begin = was->log_start;
    return 0;
}

int task_resume(struct task *task, const struct task_frame *frame)
{
    task->seq = frame->seq;
    task->watermark = frame->watermark;
    task->counters = (struct task_counters){ frame->records, frame->emitted, frame->late,
        frame->dropped, frame->dead };
    for (size_t i = 0; i < frame->store_count; i++) {
        const struct task_frame_store *was = &frame->stores[i];
        struct task_store *store = NULL;
        for (size_t j = 0; j < task->settings->store_count; j++) {
            if (bytes_equal_text(was->name, task->stores[j].decl->name))
                store = &task->stores[j];
        }
        if (!store) {
            (void)fail(task,
                "the state of store '%.*s' is no longer declared; unload the processor with its "
                "state to begin anew",
                (int)was->name.len, (const char *)was->name.data);
            return -EINVAL;
        }
        int r = resume_store(task, store, was);
        if (r)
            return r;
        if (frame->firing && frame->firing_store == i && store->decl->kind == MR_STORE_WINDOW_COUNT)
            task->firing = (struct task_firing){ .on = true,
                .store = (uint16_t)(store - task->stores),
                .end = frame->firing_end,
                .told = frame->firing_told };
    }
    return 0;
}

static int restore_store(struct task *task, struct task_store *store)
{
    enum intake_outcome outcome;
    while ((outcome = intake_peek(&store->log, &task->compressor, false)) == INTAKE_RECORD) {
        const struct record_view *head = &store->log.head;
        int r = store->decl->kind == MR_STORE_WINDOW_COUNT
                    ? slices_restore(&store->slices, head->key, head->value, head->offset)
                    : keyed_restore(&store->keyed, head->key, head->value);
        if (r)
            return fail(task,
                "changelog of store '%s': the record at offset %lld is not one of ours (was "
                "something else produced to it?)",
                store->decl->name, (long long)head->offset);
        store->log.position = head->offset + 1;
        intake_take(&store->log);
    }
    if (outcome == INTAKE_BAD)
        return fail(task, "changelog of store '%s': the record batch at offset %lld is damaged",
            store->decl->name, (long long)store->log.position);
    intake_skip_gap(&store->log);
    intake_seal(&store->log);
    return GO;
}

void task_restore(struct task *task)
{
    clear_result(task);
    for (size_t i = 0; i < task->settings->store_count; i++) {
        if (restore_store(task, &task->stores[i])) {
            task->status = TASK_FAILED;
            return;
        }
    }
    task->next_due = next_due(task);
}
