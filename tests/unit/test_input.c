/* A pipe cut into records. */
#include "tools/client/input.h"

#include <unistd.h>

#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "tests/test.h"

struct pipe_input {
    int to;
    struct input input;
    int from;
};

static struct pipe_input opened(const char *delimiter, size_t record_max)
{
    int ends[2];
    struct pipe_input p;

    cr_assert_eq(pipe(ends), 0);
    p.from = ends[0];
    p.to = ends[1];
    input_init(&p.input, p.from, bytes_text(delimiter), record_max);
    return p;
}

static void feed(struct pipe_input *p, const char *text)
{
    if (text) {
        cr_assert_eq(write(p->to, text, strlen(text)), (ssize_t)strlen(text));
    } else {
        (void)close(p->to);
        p->to = -1;
    }
    cr_assert_eq(input_fill(&p->input), 0);
}

static void expect(struct pipe_input *p, enum input_result result, const char *text)
{
    struct bytes record = { 0 };

    cr_assert_eq(input_next(&p->input, &record), result);
    if (result == INPUT_RECORD)
        cr_assert(bytes_equal_text(record, text), "'%.*s' is not '%s'", (int)record.len,
            (const char *)record.data, text);
}

static void closed(struct pipe_input *p)
{
    input_done(&p->input);
    (void)close(p->from);
    if (p->to >= 0)
        (void)close(p->to);
}

TEST(input, cuts_lines_however_they_arrive)
{
    struct pipe_input p = opened("\n", 100);

    expect(&p, INPUT_EMPTY, NULL);
    feed(&p, "one\ntw");
    expect(&p, INPUT_RECORD, "one");
    expect(&p, INPUT_EMPTY, NULL);
    feed(&p, "o\n\nlast");
    expect(&p, INPUT_RECORD, "two");
    expect(&p, INPUT_RECORD, "");
    expect(&p, INPUT_EMPTY, NULL);
    feed(&p, NULL);
    expect(&p, INPUT_RECORD, "last");
    expect(&p, INPUT_END, NULL);
    cr_assert_eq(p.input.number, 4);
    closed(&p);
}

TEST(input, ends_without_an_empty_record_behind_the_last_delimiter)
{
    struct pipe_input p = opened("\n", 100);

    feed(&p, "a\n");
    feed(&p, NULL);
    expect(&p, INPUT_RECORD, "a");
    expect(&p, INPUT_END, NULL);
    closed(&p);
}

TEST(input, finds_a_delimiter_that_arrives_in_pieces)
{
    struct pipe_input p = opened("<=>", 100);

    feed(&p, "a<");
    expect(&p, INPUT_EMPTY, NULL);
    feed(&p, "=");
    expect(&p, INPUT_EMPTY, NULL);
    feed(&p, ">b<=<=>");
    expect(&p, INPUT_RECORD, "a");
    expect(&p, INPUT_RECORD, "b<=");
    closed(&p);
}

TEST(input, tells_a_record_that_is_too_long_and_goes_on_behind_it)
{
    struct pipe_input p = opened("\n", 4);

    feed(&p, "1234\n12345\nok\n");
    expect(&p, INPUT_RECORD, "1234");
    expect(&p, INPUT_TOO_LONG, NULL);
    expect(&p, INPUT_RECORD, "ok");
    closed(&p);
}

TEST(input, keeps_its_memory_bounded_while_it_skips)
{
    struct pipe_input p = opened("\n", 10);
    char piece[60001];

    memset(piece, 'x', sizeof(piece) - 1);
    piece[sizeof(piece) - 1] = '\0';
    for (int i = 0; i < 200; i++) {
        feed(&p, piece);
        expect(&p, INPUT_EMPTY, NULL);
    }
    cr_assert_lt(p.input.capacity, 1 << 20);
    feed(&p, "x\nnext\n");
    expect(&p, INPUT_TOO_LONG, NULL);
    expect(&p, INPUT_RECORD, "next");
    feed(&p, piece);
    expect(&p, INPUT_EMPTY, NULL);
    feed(&p, NULL);
    expect(&p, INPUT_TOO_LONG, NULL);
    expect(&p, INPUT_END, NULL);
    closed(&p);
}

TEST(input, gives_back_any_text_whatever_the_pieces)
{
    struct random random = random_seeded(11);

    for (int round = 0; round < 200; round++) {
        struct pipe_input p = opened("ab", 1000);
        struct out sent = { 0 }, got = { 0 };
        struct bytes record;
        for (int piece = 0; piece < 20; piece++) {
            char text[40];
            size_t len = random_below(&random, sizeof(text) - 1) + 1;
            for (size_t i = 0; i < len; i++)
                text[i] = "abc"[random_below(&random, 3)];
            text[len] = '\0';
            feed(&p, text);
            out_text(&sent, text);
            while (input_next(&p.input, &record) == INPUT_RECORD) {
                cr_assert_null(memmem(record.data, record.len, "ab", 2));
                out_bytes(&got, record.data, record.len);
                out_text(&got, "ab");
            }
        }
        feed(&p, NULL);
        if (input_next(&p.input, &record) == INPUT_RECORD)
            out_bytes(&got, record.data, record.len);
        cr_assert(bytes_equal(bytes_of(sent.data, sent.len), bytes_of(got.data, got.len)));
        out_done(&sent);
        out_done(&got);
        closed(&p);
    }
}
