/* The four codecs: round trips, what other writers make of the formats, cuts, lies and bombs. */
#include "protocol/compress.h"

#include <errno.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "tests/test.h"

enum { PLENTY = 64 << 20 };

/* Half words, half noise: compressible, not absurdly so. */
static void fill(struct out *to, size_t size, uint64_t seed)
{
    struct random random = random_seeded(seed);
    to->len = 0;
    while (to->len < size) {
        char word[24];
        size_t len = 1 + random_below(&random, 23);
        if (random_chance(&random, 1, 3))
            random_bytes(&random, word, len);
        else
            memcpy(word, "the wheel turns in water", len);
        out_bytes(to, word, len);
    }
    to->len = size;
}

static struct bytes all(const struct out *out)
{
    return bytes_of(out->data, out->len);
}

static int unpack(
    struct compressor *compressor, enum codec codec, struct bytes from, size_t size_max)
{
    struct out to = { 0 };
    uint8_t *copy = mem_alloc(from.len); /* of its own, so that a sanitizer sees its end */
    memcpy(copy, from.data, from.len);
    int r = compressor_unpack(compressor, codec, bytes_of(copy, from.len), size_max, &to);
    mem_free(copy);
    cr_assert(r == 0 || to.len == 0, "output left behind a failure");
    cr_assert(to.len <= size_max);
    out_done(&to);
    return r;
}

static void pack(struct compressor *compressor, enum codec codec, struct bytes from, struct out *to)
{
    cr_assert_eq(compressor_pack(compressor, codec, COMPRESS_LEVEL_DEFAULT, from, to), 0);
}

static void expect_back(
    struct compressor *compressor, enum codec codec, struct bytes packed, struct bytes want)
{
    struct out back = { 0 };
    out_text(&back, "before");
    int r = compressor_unpack(compressor, codec, packed, want.len, &back);
    cr_assert_eq(r, 0, "%s, %zu bytes: %d", codec_name(codec), want.len, r);
    cr_assert_eq(back.len, want.len + 6);
    cr_assert(memcmp(back.data, "before", 6) == 0, "what was in the output is gone");
    cr_assert(bytes_equal(bytes_of(back.data + 6, want.len), want));
    out_done(&back);
}

TEST(compress, gives_back_what_went_in)
{
    const size_t sizes[] = { 0, 1, 2, 100, 4095, 4096, 32768, 32769, 65536, 65537, 300000,
        2000000 };
    struct compressor compressor;
    struct out plain = { 0 }, packed = { 0 };
    compressor_init(&compressor);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        fill(&plain, sizes[i], i);
        for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
            packed.len = 0;
            out_text(&packed, "x"); /* packing appends */
            pack(&compressor, (enum codec)codec, all(&plain), &packed);
            struct bytes payload = bytes_of(packed.data + 1, packed.len - 1);
            expect_back(&compressor, (enum codec)codec, payload, all(&plain));
            cr_assert(compress_portable((enum codec)codec, payload));
            cr_assert(codec == CODEC_NONE || sizes[i] < 4096 || payload.len < plain.len,
                "%s did not compress", codec_name((enum codec)codec));
        }
    }
    out_done(&plain);
    out_done(&packed);
    compressor_done(&compressor);
}

TEST(compress, levels_are_cut_to_their_range)
{
    const int levels[] = { INT_MIN + 1, -131072, -5, 0, 1, 3, 9, 12, 17, 22, INT_MAX };
    struct compressor compressor;
    struct out plain = { 0 }, packed = { 0 };
    size_t smallest[CODEC_COUNT], largest[CODEC_COUNT] = { 0 };
    memset(smallest, 0xff, sizeof(smallest));
    compressor_init(&compressor);
    fill(&plain, 100000, 7);
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
            packed.len = 0;
            cr_assert_eq(
                compressor_pack(&compressor, (enum codec)codec, levels[i], all(&plain), &packed),
                0);
            expect_back(&compressor, (enum codec)codec, all(&packed), all(&plain));
            if (packed.len < smallest[codec])
                smallest[codec] = packed.len;
            if (packed.len > largest[codec])
                largest[codec] = packed.len;
        }
    }
    cr_assert(smallest[CODEC_GZIP] < largest[CODEC_GZIP], "the level of gzip is not used");
    cr_assert(smallest[CODEC_LZ4] < largest[CODEC_LZ4], "the level of lz4 is not used");
    cr_assert(smallest[CODEC_ZSTD] < largest[CODEC_ZSTD], "the level of zstd is not used");
    out_done(&plain);
    out_done(&packed);
    compressor_done(&compressor);
}

TEST(compress, names)
{
    enum codec codec = CODEC_NONE;
    cr_assert(codec_by_name(bytes_text("zstd"), &codec));
    cr_assert_eq(codec, CODEC_ZSTD);
    cr_assert(codec_by_name(bytes_text("none"), &codec));
    cr_assert_eq(codec, CODEC_NONE);
    cr_assert_not(codec_by_name(bytes_text("uncompressed"), &codec));
    cr_assert_not(codec_by_name(bytes_text("gzi"), &codec));
    cr_assert_not(codec_by_name(bytes_text(""), &codec));
    cr_assert_str_eq(codec_name(CODEC_LZ4), "lz4");
    cr_assert_str_eq(codec_name((enum codec)5), "?");
}

TEST(compress, codecs_that_do_not_exist)
{
    struct compressor compressor;
    struct out to = { 0 };
    compressor_init(&compressor);
    for (int codec = CODEC_COUNT; codec < 9; codec++) {
        cr_assert_eq(unpack(&compressor, (enum codec)codec, bytes_text("x"), PLENTY), -ENOTSUP);
        cr_assert_eq(
            compressor_pack(&compressor, (enum codec)codec, 1, bytes_text("x"), &to), -ENOTSUP);
    }
    cr_assert_eq(to.len, 0);
    compressor_done(&compressor);
}

/* ---- damage -------------------------------------------------------------------------------- */

TEST(compress, every_cut_is_noticed)
{
    struct compressor compressor;
    struct out plain = { 0 }, packed = { 0 };
    compressor_init(&compressor);
    fill(&plain, 1000, 3);
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        packed.len = 0;
        pack(&compressor, (enum codec)codec, all(&plain), &packed);
        /* The snappy stream is as good as over after each chunk: after its header, here. */
        for (size_t cut = 0; cut < packed.len; cut++) {
            int want = codec == CODEC_SNAPPY && cut == 16 ? 0 : -EBADMSG;
            int r = unpack(&compressor, (enum codec)codec, bytes_of(packed.data, cut), PLENTY);
            cr_assert_eq(r, want, "%s cut at %zu of %zu: %d", codec_name((enum codec)codec), cut,
                packed.len, r);
        }
        /* And the context is fit for the next. */
        expect_back(&compressor, (enum codec)codec, all(&packed), all(&plain));
        for (int byte = 0; byte < 256; byte += 51) {
            size_t len = packed.len;
            *out_add(&packed, 1) = (uint8_t)byte;
            cr_assert_eq(unpack(&compressor, (enum codec)codec, all(&packed), PLENTY), -EBADMSG,
                "%s with a byte behind", codec_name((enum codec)codec));
            packed.len = len;
        }
    }
    out_done(&plain);
    out_done(&packed);
    compressor_done(&compressor);
}

/* Bytes set at random: any answer, but an answer, within the limit. */
TEST(compress, damage_does_no_harm)
{
    struct compressor compressor;
    struct out plain = { 0 }, packed = { 0 };
    struct random random = random_seeded(11);
    compressor_init(&compressor);
    fill(&plain, 3000, 5);
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        packed.len = 0;
        pack(&compressor, (enum codec)codec, all(&plain), &packed);
        uint8_t *damaged = mem_alloc(packed.len);
        int refused = 0;
        for (int i = 0; i < 2000; i++) {
            memcpy(damaged, packed.data, packed.len);
            for (int k = 0; k < 1 + i % 4; k++)
                damaged[random_below(&random, i % 2 ? 32 : packed.len)] =
                    (uint8_t)random_u64(&random);
            refused +=
                unpack(&compressor, (enum codec)codec, bytes_of(damaged, packed.len), 5000) != 0;
        }
        cr_assert(refused > 500, "%s: %d of 2000 refused", codec_name((enum codec)codec), refused);
        mem_free(damaged);
        expect_back(&compressor, (enum codec)codec, all(&packed), all(&plain));
    }
    out_done(&plain);
    out_done(&packed);
    compressor_done(&compressor);
}

/* ---- limits -------------------------------------------------------------------------------- */

TEST(compress, the_limit_is_exact)
{
    const size_t sizes[] = { 1, 100, 4096, 100000 };
    struct compressor compressor;
    struct out plain = { 0 }, packed = { 0 };
    compressor_init(&compressor);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        fill(&plain, sizes[i], i);
        for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
            packed.len = 0;
            pack(&compressor, (enum codec)codec, all(&plain), &packed);
            cr_assert_eq(unpack(&compressor, (enum codec)codec, all(&packed), sizes[i]), 0);
            cr_assert_eq(unpack(&compressor, (enum codec)codec, all(&packed), sizes[i] - 1), -E2BIG,
                "%s, %zu bytes", codec_name((enum codec)codec), sizes[i]);
            cr_assert_eq(unpack(&compressor, (enum codec)codec, all(&packed), 0), -E2BIG);
        }
    }
    out_done(&plain);
    out_done(&packed);
    compressor_done(&compressor);
}

/* 40 MiB of zeros: stopped at the limit, having taken no more memory than that. */
TEST(compress, bombs_stop_at_the_limit)
{
    enum { BOMB = 40 << 20, LIMIT = 1 << 20 };
    struct compressor compressor;
    struct out packed = { 0 }, to = { 0 };
    uint8_t *zeros = mem_zalloc(1, BOMB);
    compressor_init(&compressor);
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        packed.len = 0;
        pack(&compressor, (enum codec)codec, bytes_of(zeros, BOMB), &packed);
        out_done(&to);
        cr_assert_eq(compressor_unpack(&compressor, (enum codec)codec, all(&packed), LIMIT, &to),
            -E2BIG, "%s", codec_name((enum codec)codec));
        cr_assert(to.capacity <= 2 * LIMIT, "%s took %zu bytes", codec_name((enum codec)codec),
            to.capacity);
        if (codec != CODEC_ZSTD) /* which exceeds the ratio */
            expect_back(&compressor, (enum codec)codec, all(&packed), bytes_of(zeros, BOMB));
    }
    mem_free(zeros);
    out_done(&packed);
    out_done(&to);
    compressor_done(&compressor);
}

/* Only zstd can exceed the ratio: COMPRESS_RATIO_FREE is let pass, more is not. */
TEST(compress, the_ratio_is_limited)
{
    enum { MORE = COMPRESS_RATIO_FREE + (1 << 20) };
    struct compressor compressor;
    struct out packed = { 0 };
    uint8_t *zeros = mem_zalloc(1, MORE);
    compressor_init(&compressor);
    pack(&compressor, CODEC_ZSTD, bytes_of(zeros, COMPRESS_RATIO_FREE), &packed);
    cr_assert(packed.len * COMPRESS_RATIO_MAX < COMPRESS_RATIO_FREE, "no bomb: %zu", packed.len);
    expect_back(&compressor, CODEC_ZSTD, all(&packed), bytes_of(zeros, COMPRESS_RATIO_FREE));
    packed.len = 0;
    pack(&compressor, CODEC_ZSTD, bytes_of(zeros, MORE), &packed);
    cr_assert_eq(unpack(&compressor, CODEC_ZSTD, all(&packed), SIZE_MAX), -E2BIG);
    mem_free(zeros);
    out_done(&packed);
    compressor_done(&compressor);
}

/* Sizes that a header declares cost nothing. */
TEST(compress, declared_sizes_are_not_believed)
{
    struct compressor compressor;
    struct out to = { 0 };
    compressor_init(&compressor);
    /* zstd: single segment, 8-byte content size 2^40, then one raw block "abc". */
    const uint8_t zstd[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 0x19, 0, 0, 'a',
        'b', 'c' };
    cr_assert_eq(
        compressor_unpack(&compressor, CODEC_ZSTD, bytes_of(zstd, sizeof(zstd)), SIZE_MAX, &to),
        -EBADMSG);
    cr_assert(to.capacity < 1 << 20, "%zu bytes for a lie", to.capacity);
    /* snappy: 4 GiB less one, then a literal. */
    const uint8_t snappy[] = { 0xff, 0xff, 0xff, 0xff, 0x0f, 0x08, 'a', 'b', 'c' };
    cr_assert_eq(compressor_unpack(
                     &compressor, CODEC_SNAPPY, bytes_of(snappy, sizeof(snappy)), SIZE_MAX, &to),
        -EBADMSG);
    cr_assert(to.capacity < 1 << 20);
    /* lz4: content size 2^40 in a frame with a right header checksum, and an end mark. */
    const uint8_t lz4[] = { 0x04, 0x22, 0x4d, 0x18, 0x68, 0x40, 0, 0, 0, 0, 0, 1, 0, 0, 0x5e, 0, 0,
        0, 0 };
    cr_assert_eq(
        compressor_unpack(&compressor, CODEC_LZ4, bytes_of(lz4, sizeof(lz4)), SIZE_MAX, &to),
        -EBADMSG);
    cr_assert(to.capacity < 1 << 20);
    out_done(&to);
    compressor_done(&compressor);
}

/* A zstd frame may ask for a window of terabytes. */
TEST(compress, huge_windows_are_refused)
{
    struct compressor compressor;
    compressor_init(&compressor);
    uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0, (27 - 10) << 3, 0x19, 0, 0, 'a', 'b', 'c' };
    expect_back(&compressor, CODEC_ZSTD, bytes_of(frame, sizeof(frame)), bytes_text("abc"));
    cr_assert_null(compressor.zstd_decompress, "128 MiB of window were kept");
    frame[5] = (28 - 10) << 3;
    cr_assert_eq(unpack(&compressor, CODEC_ZSTD, bytes_of(frame, sizeof(frame)), PLENTY), -EBADMSG);
    frame[5] = 31 << 3;
    cr_assert_eq(unpack(&compressor, CODEC_ZSTD, bytes_of(frame, sizeof(frame)), PLENTY), -EBADMSG);
    compressor_done(&compressor);
}

TEST(compress, scratch_is_given_back_when_it_grew_large)
{
    struct compressor compressor;
    compressor_init(&compressor);
    struct out *scratch = compressor_scratch(&compressor);
    out_text(scratch, "text");
    scratch = compressor_scratch(&compressor);
    cr_assert_eq(scratch->len, 0);
    cr_assert(scratch->capacity > 0, "small scratch is kept");
    (void)out_add(scratch, COMPRESS_KEEP_MAX + 1);
    scratch = compressor_scratch(&compressor);
    cr_assert_eq(scratch->capacity, 0);
    compressor_done(&compressor);
}

/* ---- the formats as others write them ------------------------------------------------------ */

TEST(compress, gzip_members_follow_each_other)
{
    struct compressor compressor;
    struct out packed = { 0 };
    compressor_init(&compressor);
    pack(&compressor, CODEC_GZIP, bytes_text("one, "), &packed);
    pack(&compressor, CODEC_GZIP, bytes_text(""), &packed);
    pack(&compressor, CODEC_GZIP, bytes_text("two"), &packed);
    expect_back(&compressor, CODEC_GZIP, all(&packed), bytes_text("one, two"));
    packed.len -= 1;
    cr_assert_eq(unpack(&compressor, CODEC_GZIP, all(&packed), PLENTY), -EBADMSG);
    /* zlib's own wrapping is not gzip. */
    const uint8_t zlib[] = { 0x78, 0x9c, 0x4b, 0x04, 0x00, 0x00, 0x62, 0x00, 0x62 };
    cr_assert_eq(unpack(&compressor, CODEC_GZIP, bytes_of(zlib, sizeof(zlib)), PLENTY), -EBADMSG);
    out_done(&packed);
    compressor_done(&compressor);
}

static void put_stream_header(struct out *out, uint32_t version)
{
    uint8_t header[16] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0 };
    be_put32(header + 8, version);
    be_put32(header + 12, 1);
    out_bytes(out, header, sizeof(header));
}

static void put_chunk(struct out *out, uint32_t size, const void *data, size_t len)
{
    be_put32(out_add(out, 4), size);
    out_bytes(out, data, len);
}

TEST(compress, snappy_in_both_forms)
{
    const uint8_t raw[] = { 4, 12, 'a', 'b', 'c', 'd' }; /* a literal of four */
    struct compressor compressor;
    struct out stream = { 0 };
    compressor_init(&compressor);
    expect_back(&compressor, CODEC_SNAPPY, bytes_of(raw, sizeof(raw)), bytes_text("abcd"));
    expect_back(&compressor, CODEC_SNAPPY, bytes_of("\0", 1), bytes_text(""));

    put_stream_header(&stream, 1);
    expect_back(&compressor, CODEC_SNAPPY, all(&stream), bytes_text(""));
    put_chunk(&stream, sizeof(raw), raw, sizeof(raw));
    put_chunk(&stream, sizeof(raw), raw, sizeof(raw));
    expect_back(&compressor, CODEC_SNAPPY, all(&stream), bytes_text("abcdabcd"));
    put_stream_header(&stream, 1); /* two streams joined */
    put_chunk(&stream, sizeof(raw), raw, sizeof(raw));
    expect_back(&compressor, CODEC_SNAPPY, all(&stream), bytes_text("abcdabcdabcd"));
    cr_assert_eq(unpack(&compressor, CODEC_SNAPPY, all(&stream), 11), -E2BIG, "over all chunks");

    /* We write the stream form. */
    struct out packed = { 0 };
    pack(&compressor, CODEC_SNAPPY, bytes_text("abcd"), &packed);
    cr_assert(memcmp(packed.data, "\x82SNAPPY\0\0\0\0\1\0\0\0\1\0\0\0\6\4\14abcd", 26) == 0);
    cr_assert_eq(packed.len, 26);

    const struct {
        uint32_t version, size;
    } bad[] = { { 0, 6 }, { UINT32_MAX, 6 }, { 1, 0 }, { 1, 7 }, { 1, 5 }, { 1, UINT32_MAX } };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        stream.len = 0;
        put_stream_header(&stream, bad[i].version);
        put_chunk(&stream, bad[i].size, raw, sizeof(raw));
        cr_assert_eq(
            unpack(&compressor, CODEC_SNAPPY, all(&stream), PLENTY), -EBADMSG, "case %zu", i);
    }
    /* The magic alone is neither form. */
    cr_assert_eq(unpack(&compressor, CODEC_SNAPPY, bytes_of(packed.data, 8), PLENTY), -EBADMSG);
    out_done(&stream);
    out_done(&packed);
    compressor_done(&compressor);
}

static void put_lz4_frame(
    struct out *out, struct bytes plain, LZ4F_blockMode_t mode, bool checksum, unsigned dictionary)
{
    LZ4F_preferences_t preferences = {
        .frameInfo = { .blockSizeID = LZ4F_max64KB,
            .blockMode = mode,
            .contentChecksumFlag = checksum ? LZ4F_contentChecksumEnabled : LZ4F_noContentChecksum,
            .blockChecksumFlag = checksum ? LZ4F_blockChecksumEnabled : LZ4F_noBlockChecksum,
            .contentSize = checksum ? plain.len : 0,
            .dictID = dictionary },
    };
    size_t bound = LZ4F_compressFrameBound(plain.len, &preferences);
    size_t made =
        LZ4F_compressFrame(out_add(out, bound), bound, plain.data, plain.len, &preferences);
    cr_assert_not(LZ4F_isError(made));
    out->len -= bound - made;
}

TEST(compress, lz4_frames_of_every_kind)
{
    struct compressor compressor;
    struct out plain = { 0 }, packed = { 0 };
    compressor_init(&compressor);
    fill(&plain, 200000, 1);
    put_lz4_frame(&packed, all(&plain), LZ4F_blockLinked, false, 0);
    expect_back(&compressor, CODEC_LZ4, all(&packed), all(&plain));
    cr_assert_not(compress_portable(CODEC_LZ4, all(&packed)), "Java cannot read linked blocks");
    packed.len = 0;
    put_lz4_frame(&packed, all(&plain), LZ4F_blockIndependent, true, 0);
    expect_back(&compressor, CODEC_LZ4, all(&packed), all(&plain));
    cr_assert_not(compress_portable(CODEC_LZ4, all(&packed)), "Java sums contents otherwise");
    packed.data[packed.len - 1] ^= 1;
    cr_assert_eq(
        unpack(&compressor, CODEC_LZ4, all(&packed), PLENTY), -EBADMSG, "content checksum");
    packed.len = 0;
    put_lz4_frame(&packed, all(&plain), LZ4F_blockIndependent, false, 0);
    cr_assert(compress_portable(CODEC_LZ4, all(&packed)));
    put_lz4_frame(&packed, all(&plain), LZ4F_blockIndependent, false, 0);
    cr_assert_eq(unpack(&compressor, CODEC_LZ4, all(&packed), PLENTY), -EBADMSG, "two frames");
    /* We write what Java can read: version 1, independent blocks, no more flags; 64 KiB. */
    packed.len = 0;
    pack(&compressor, CODEC_LZ4, all(&plain), &packed);
    cr_assert_eq(packed.data[4], 0x60);
    cr_assert_eq(packed.data[5], 0x40);
    packed.len = 0; /* one that names a dictionary, and even does without */
    put_lz4_frame(&packed, all(&plain), LZ4F_blockIndependent, false, 7);
    cr_assert_eq(unpack(&compressor, CODEC_LZ4, all(&packed), PLENTY), -EBADMSG);
    /* A skippable frame and the legacy format are lz4, and not Kafka's. */
    cr_assert_eq(
        unpack(&compressor, CODEC_LZ4, bytes_of("\x50\x2a\x4d\x18\0\0\0\0", 8), PLENTY), -EBADMSG);
    cr_assert_eq(
        unpack(&compressor, CODEC_LZ4, bytes_of("\x02\x21\x4c\x18\0\0\0\0", 8), PLENTY), -EBADMSG);
    out_done(&plain);
    out_done(&packed);
    compressor_done(&compressor);
}

TEST(compress, zstd_frames_follow_each_other)
{
    struct compressor compressor;
    struct out packed = { 0 };
    compressor_init(&compressor);
    pack(&compressor, CODEC_ZSTD, bytes_text("one, "), &packed);
    out_bytes(&packed, "\x5f\x2a\x4d\x18\3\0\0\0abc", 11); /* to be skipped */
    pack(&compressor, CODEC_ZSTD, bytes_text(""), &packed);
    /* A frame without a content size, as streams write it: window 1 KiB, a raw block. */
    out_bytes(&packed, "\x28\xb5\x2f\xfd\0\0\x19\0\0two", 12);
    expect_back(&compressor, CODEC_ZSTD, all(&packed), bytes_text("one, two"));
    cr_assert_eq(unpack(&compressor, CODEC_ZSTD, all(&packed), 7), -E2BIG, "over all frames");
    size_t len = packed.len;
    /* zstd 0.7, which some libraries read: a raw block, an end block. */
    out_bytes(&packed, "\x27\xb5\x2f\xfd\0\x40\x40\0\3old\xc0\0\0", 15);
    cr_assert_eq(unpack(&compressor, CODEC_ZSTD, all(&packed), PLENTY), -EBADMSG);
    packed.len = len - 1;
    cr_assert_eq(unpack(&compressor, CODEC_ZSTD, all(&packed), PLENTY), -EBADMSG);
    out_done(&packed);
    compressor_done(&compressor);
}

TEST(compress, a_zeroed_compressor_is_done_at_once)
{
    struct compressor compressor = { 0 };
    compressor_done(&compressor);
    compressor_init(&compressor);
    compressor_done(&compressor);
}
