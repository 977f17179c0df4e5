/*
 * See compress.h.
 *
 * Reading, for every codec: the output is a `sink`, a run at the end of the caller's `out` with a
 * limit of its own. A codec asks for room, fills some of it, and asks again; room doubles from a
 * guess, never beyond one byte more than the limit, and that one byte tells "exactly full" from
 * "too much". Sizes which the input declares are used as a guess at most.
 *
 * Failure modes: the input ends inside a stream (a codec that wants more input and has room left);
 * something follows the end; a stream's own checks fail; the limit. All leave `out` as long as it
 * was and the contexts fit for the next call.
 *
 * What the formats look like in Kafka, where it is not what one would think:
 * - gzip: several members may follow each other.
 * - snappy: the Java client writes snappy-java's stream: an 8-byte magic, int32 version, int32
 *   compatible version, then chunks of [int32 size, raw snappy]. A new magic may stand in place of
 * a size where two streams were joined. librdkafka and others write one raw snappy block. The magic
 *   cannot begin a raw block (its third byte would be a copy from before the start), so it tells
 * them apart. We write the stream form: old clients cannot read the other.
 * - lz4: one frame. Java's reader demands independent blocks, computes the content checksum in a
 * way of its own and stops at the frame's end. We write independent blocks of 64 KiB without
 * checksums; linked blocks are read, but see compress_portable. Bytes behind the frame are refused.
 * - zstd: frames, also skippable ones, may follow each other; frames of zstd before 1.0 are
 * refused.
 */
#include "protocol/compress.h"

#include <errno.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "protocol/base/mem.h"

enum {
    SINK_START = 4096,
    GUESS_RATIO = 4,      /* of most real data */
    GUESS_RATIO_MAX = 32, /* a declared size is believed up to this ratio */
    SNAPPY_CHUNK = 32 << 10,
    SNAPPY_RATIO_MAX = 22, /* a 3-byte copy makes at most 64 bytes */
    STREAM_HEADER = 16,
    LZ4_HEADER_MIN = 7,
    GZIP_WINDOW = 15 + 16, /* zlib: 32 KiB window, gzip wrapping and nothing else */
};

/* The first 8 bytes of snappy-java's stream. */
static const uint8_t stream_magic[8] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0 };

/* ---- life ---------------------------------------------------------------------------------- */

void compressor_init(struct compressor *compressor)
{
    *compressor = (struct compressor){ 0 };
}

static void inflate_drop(struct compressor *compressor)
{
    if (compressor->inflate)
        (void)inflateEnd(compressor->inflate); /* fails for a NULL stream only */
    mem_free(compressor->inflate);
    compressor->inflate = NULL;
}

static void deflate_drop(struct compressor *compressor)
{
    if (compressor->deflate)
        (void)deflateEnd(compressor->deflate); /* complains of unfinished output; that is meant */
    mem_free(compressor->deflate);
    compressor->deflate = NULL;
}

void compressor_done(struct compressor *compressor)
{
    inflate_drop(compressor);
    deflate_drop(compressor);
    (void)LZ4F_freeCompressionContext(compressor->lz4_compress); /* always succeeds */
    (void)LZ4F_freeDecompressionContext(compressor->lz4_decompress);
    (void)ZSTD_freeCCtx(compressor->zstd_compress); /* always succeeds here: not static */
    (void)ZSTD_freeDCtx(compressor->zstd_decompress);
    out_done(&compressor->scratch);
    *compressor = (struct compressor){ 0 };
}

struct out *compressor_scratch(struct compressor *compressor)
{
    if (compressor->scratch.capacity > COMPRESS_KEEP_MAX)
        out_done(&compressor->scratch);
    compressor->scratch.len = 0;
    return &compressor->scratch;
}

/* ---- names --------------------------------------------------------------------------------- */

static const char *const names[CODEC_COUNT] = { "none", "gzip", "snappy", "lz4", "zstd" };

const char *codec_name(enum codec codec)
{
    return (unsigned)codec < CODEC_COUNT ? names[codec] : "?";
}

bool codec_by_name(struct bytes name, enum codec *ret)
{
    for (int i = 0; i < CODEC_COUNT; i++) {
        if (bytes_equal_text(name, names[i])) {
            *ret = (enum codec)i;
            return true;
        }
    }
    return false;
}

/* ---- the sink ------------------------------------------------------------------------------ */

struct sink {
    struct out *out;
    size_t start; /* out->len at the beginning */
    size_t limit; /* most bytes behind start */
};

static size_t sink_len(const struct sink *sink)
{
    return sink->out->len - sink->start;
}

/* Makes room for at least `need` bytes more (or up to the limit and one); -E2BIG if the limit was
 * passed. Grows by doubling. */
static int sink_grow(struct sink *sink, size_t need)
{
    size_t len = sink_len(sink);
    if (len > sink->limit)
        return -E2BIG;
    if (sink->out->capacity - sink->out->len >= need)
        return 0;
    size_t want = need > len ? need : len, most = sink->limit + 1 - len;
    return out_reserve(sink->out, want < most ? want : most);
}

/* Room to write to now, at least one byte. */
static int sink_room(struct sink *sink, uint8_t **ret_at, size_t *ret_size)
{
    int r = sink_grow(sink, 1);
    if (r)
        return r;
    size_t most = sink->limit + 1 - sink_len(sink);
    size_t size = sink->out->capacity - sink->out->len;
    *ret_at = sink->out->data + sink->out->len;
    *ret_size = size < most ? size : most;
    return 0;
}

/* ---- gzip ---------------------------------------------------------------------------------- */

static int gzip_open(struct compressor *compressor, z_stream **ret)
{
    z_stream *stream = compressor->inflate;
    if (!stream) {
        stream = mem_zalloc(1, sizeof(*stream));
        if (inflateInit2(stream, GZIP_WINDOW) != Z_OK) {
            mem_free(stream);
            return -ENOMEM;
        }
        compressor->inflate = stream;
    }
    (void)inflateReset(stream); /* fails for a broken stream only */
    *ret = stream;
    return 0;
}

static int gzip_read(struct compressor *compressor, struct bytes from, struct sink *sink)
{
    z_stream *stream;
    int r = gzip_open(compressor, &stream);
    if (r)
        return r;
    stream->next_in = (z_const Bytef *)(uintptr_t)from.data;
    stream->avail_in = (uInt)from.len;
    for (;;) {
        uint8_t *at;
        size_t room;
        r = sink_room(sink, &at, &room);
        if (r)
            return r;
        uInt given = room < UINT_MAX ? (uInt)room : UINT_MAX;
        stream->next_out = at;
        stream->avail_out = given;
        int status = inflate(stream, Z_NO_FLUSH);
        sink->out->len += given - stream->avail_out;
        if (status == Z_STREAM_END) {
            if (stream->avail_in == 0)
                return sink_len(sink) > sink->limit ? -E2BIG : 0;
            (void)inflateReset(stream); /* another member */
        } else if (status == Z_MEM_ERROR) {
            return -ENOMEM;
        } else if (status != Z_OK) { /* Z_BUF_ERROR among them: it wants more input */
            return -EBADMSG;
        }
    }
}

static int gzip_write(struct compressor *compressor, int level, struct bytes from, struct out *out)
{
    level = level == COMPRESS_LEVEL_DEFAULT ? Z_DEFAULT_COMPRESSION
            : level < Z_BEST_SPEED          ? Z_BEST_SPEED
            : level > Z_BEST_COMPRESSION    ? Z_BEST_COMPRESSION
                                            : level;
    if (compressor->deflate_level != level)
        deflate_drop(compressor);
    z_stream *stream = compressor->deflate;
    if (!stream) {
        stream = mem_zalloc(1, sizeof(*stream));
        if (deflateInit2(stream, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
            mem_free(stream);
            return -ENOMEM;
        }
        compressor->deflate = stream;
        compressor->deflate_level = level;
    }
    (void)deflateReset(stream); /* fails for a broken stream only */
    uLong bound = deflateBound(stream, from.len);
    int r = out_reserve(out, bound);
    if (r)
        return r;
    stream->next_in = (z_const Bytef *)(uintptr_t)from.data;
    stream->avail_in = (uInt)from.len;
    stream->next_out = out->data + out->len;
    stream->avail_out = (uInt)bound;
    CHECK(deflate(stream, Z_FINISH) == Z_STREAM_END);
    out->len += bound - stream->avail_out;
    return 0;
}

/* ---- snappy -------------------------------------------------------------------------------- */

static int snappy_read_block(struct bytes from, struct sink *sink)
{
    size_t size, room;
    uint8_t *at;
    const char *data = (const char *)from.data;
    if (snappy_uncompressed_length(data, from.len, &size) != SNAPPY_OK ||
        size > from.len * SNAPPY_RATIO_MAX)
        return -EBADMSG;
    if (size > sink->limit - sink_len(sink))
        return -E2BIG;
    int r = sink_grow(sink, size + 1);
    if (!r)
        r = sink_room(sink, &at, &room);
    if (r)
        return r;
    if (snappy_uncompress(data, from.len, (char *)at, &size) != SNAPPY_OK)
        return -EBADMSG;
    sink->out->len += size;
    return 0;
}

static bool stream_begins(struct bytes from)
{
    return from.len >= STREAM_HEADER && memcmp(from.data, stream_magic, sizeof(stream_magic)) == 0;
}

static int snappy_read(struct bytes from, struct sink *sink)
{
    if (!stream_begins(from))
        return snappy_read_block(from, sink);
    while (from.len > 0) {
        size_t taken = STREAM_HEADER;
        if (stream_begins(from)) {
            /* The version; 1 is all there ever was. Nobody looks at the compatible one. */
            if ((int32_t)be_get32(from.data + sizeof(stream_magic)) < 1)
                return -EBADMSG;
        } else {
            if (from.len < 4)
                return -EBADMSG;
            size_t size = be_get32(from.data);
            if (size > from.len - 4)
                return -EBADMSG;
            int r = snappy_read_block(bytes_of(from.data + 4, size), sink);
            if (r)
                return r;
            taken = 4 + size;
        }
        from = bytes_of(from.data + taken, from.len - taken);
    }
    return 0;
}

static int snappy_write(struct bytes from, struct out *out)
{
    size_t chunks = from.len / SNAPPY_CHUNK + 1;
    int r =
        out_reserve(out, STREAM_HEADER + chunks * (4 + snappy_max_compressed_length(SNAPPY_CHUNK)));
    if (r)
        return r;
    uint8_t *header = out_add(out, STREAM_HEADER);
    memcpy(header, stream_magic, sizeof(stream_magic));
    be_put32(header + 8, 1);
    be_put32(header + 12, 1);
    for (size_t i = 0; i < from.len; i += SNAPPY_CHUNK) {
        size_t len = from.len - i < SNAPPY_CHUNK ? from.len - i : SNAPPY_CHUNK;
        size_t size = out->capacity - out->len - 4;
        uint8_t *at = out->data + out->len;
        CHECK(
            snappy_compress((const char *)from.data + i, len, (char *)at + 4, &size) == SNAPPY_OK);
        be_put32(at, (uint32_t)size);
        out->len += 4 + size;
    }
    return 0;
}

/* ---- lz4 ----------------------------------------------------------------------------------- */

enum {
    LZ4_FLAGS_AT = 4, /* behind the magic */
    LZ4_FLAG_DICTIONARY = 1 << 0,
    LZ4_FLAG_CONTENT_CHECKSUM = 1 << 2,
    LZ4_FLAG_INDEPENDENT = 1 << 5,
};

static bool lz4_frame_begins(struct bytes from)
{
    return from.len >= LZ4_HEADER_MIN && le_get32(from.data) == 0x184d2204 &&
           !(from.data[LZ4_FLAGS_AT] & LZ4_FLAG_DICTIONARY);
}

static int lz4_error(size_t code)
{
    return strcmp(LZ4F_getErrorName(code), "ERROR_allocation_failed") == 0 ? -ENOMEM : -EBADMSG;
}

static int lz4_read_frame(LZ4F_dctx *context, struct bytes from, struct sink *sink)
{
    size_t taken = 0;
    for (;;) {
        uint8_t *at;
        size_t room;
        int r = sink_room(sink, &at, &room);
        if (r)
            return r;
        size_t made = room, used = from.len - taken;
        size_t left = LZ4F_decompress(context, at, &made, from.data + taken, &used, NULL);
        if (LZ4F_isError(left))
            return lz4_error(left);
        sink->out->len += made;
        taken += used;
        if (left == 0)
            return taken < from.len ? -EBADMSG : sink_len(sink) > sink->limit ? -E2BIG : 0;
        if (taken == from.len && made < room)
            return -EBADMSG;
    }
}

static int lz4_read(struct compressor *compressor, struct bytes from, struct sink *sink)
{
    if (!lz4_frame_begins(from))
        return -EBADMSG;
    LZ4F_dctx *context = compressor->lz4_decompress;
    if (!context && LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        return -ENOMEM;
    compressor->lz4_decompress = context;
    int r = lz4_read_frame(context, from, sink);
    if (r)
        LZ4F_resetDecompressionContext(context);
    return r;
}

static int lz4_write(struct compressor *compressor, int level, struct bytes from, struct out *out)
{
    LZ4F_preferences_t preferences = {
        .frameInfo = { .blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent },
        .compressionLevel = level == COMPRESS_LEVEL_DEFAULT       ? 0
                            : level < 1                           ? 1
                            : level > LZ4F_compressionLevel_max() ? LZ4F_compressionLevel_max()
                                                                  : level,
        .autoFlush = 1,
    };
    LZ4F_cctx *context = compressor->lz4_compress;
    if (!context && LZ4F_isError(LZ4F_createCompressionContext(&context, LZ4F_VERSION)))
        return -ENOMEM;
    compressor->lz4_compress = context;
    int r = out_reserve(out, LZ4F_HEADER_SIZE_MAX + LZ4F_compressBound(from.len, &preferences));
    if (r)
        return r;
    uint8_t *at = out->data + out->len, *end = out->data + out->capacity;
    size_t made = LZ4F_compressBegin(context, at, (size_t)(end - at), &preferences);
    if (LZ4F_isError(made))
        return -ENOMEM;
    at += made;
    made = LZ4F_compressUpdate(context, at, (size_t)(end - at), from.data, from.len, NULL);
    CHECK(!LZ4F_isError(made));
    at += made;
    made = LZ4F_compressEnd(context, at, (size_t)(end - at), NULL);
    CHECK(!LZ4F_isError(made));
    out->len = (size_t)(at + made - out->data);
    return 0;
}

/* ---- zstd ---------------------------------------------------------------------------------- */

/* A frame of zstd 1.0 or a skippable one; libraries may be built to read older formats as well. */
static bool zstd_frame_begins(struct bytes from)
{
    if (from.len < 4)
        return false;
    uint32_t magic = le_get32(from.data);
    return magic == ZSTD_MAGICNUMBER ||
           (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

static int zstd_error(size_t code)
{
    return ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
}

static int zstd_read_frames(ZSTD_DCtx *context, struct bytes from, struct sink *sink)
{
    ZSTD_inBuffer in = { from.data, from.len, 0 };
    size_t left = 0; /* 0: at a frame's end */
    for (;;) {
        ZSTD_outBuffer to = { 0 };
        if (left == 0 && !zstd_frame_begins(bytes_of(from.data + in.pos, in.size - in.pos)))
            return -EBADMSG;
        uint8_t *at;
        int r = sink_room(sink, &at, &to.size);
        if (r)
            return r;
        to.dst = at;
        left = ZSTD_decompressStream(context, &to, &in);
        if (ZSTD_isError(left))
            return zstd_error(left);
        sink->out->len += to.pos;
        if (left == 0 && in.pos == in.size)
            return sink_len(sink) > sink->limit ? -E2BIG : 0;
        if (left != 0 && in.pos == in.size && to.pos < to.size)
            return -EBADMSG;
    }
}

static int zstd_read(struct compressor *compressor, struct bytes from, struct sink *sink)
{
    ZSTD_DCtx *context = compressor->zstd_decompress;
    if (!context) {
        context = ZSTD_createDCtx();
        if (!context)
            return -ENOMEM;
        compressor->zstd_decompress = context;
        (void)ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, COMPRESS_ZSTD_WINDOW_LOG_MAX);
    }
    /* With room for a whole frame zstd decodes in place, without a window of its own. */
    unsigned long long declared = ZSTD_getFrameContentSize(from.data, from.len);
    int r = 0;
    if (declared < ZSTD_CONTENTSIZE_ERROR && declared <= from.len * GUESS_RATIO_MAX)
        r = sink_grow(sink, declared + 1);
    if (!r)
        r = zstd_read_frames(context, from, sink);
    if (r)
        (void)ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    if (ZSTD_sizeof_DCtx(context) > COMPRESS_KEEP_MAX) {
        (void)ZSTD_freeDCtx(context); /* always succeeds: not static */
        compressor->zstd_decompress = NULL;
    }
    return r;
}

static int zstd_write(struct compressor *compressor, int level, struct bytes from, struct out *out)
{
    level = level == COMPRESS_LEVEL_DEFAULT ? ZSTD_defaultCLevel()
            : level < ZSTD_minCLevel()      ? ZSTD_minCLevel()
            : level > ZSTD_maxCLevel()      ? ZSTD_maxCLevel()
                                            : level;
    ZSTD_CCtx *context = compressor->zstd_compress;
    if (!context) {
        context = ZSTD_createCCtx();
        if (!context)
            return -ENOMEM;
        compressor->zstd_compress = context;
    }
    int r = out_reserve(out, ZSTD_compressBound(from.len));
    if (r)
        return r;
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level); /* in range */
    uint8_t *at = out->data + out->len;
    size_t made = ZSTD_compress2(context, at, out->capacity - out->len, from.data, from.len);
    if (ZSTD_isError(made))
        r = -ENOMEM; /* room was enough, the rest is ours */
    else
        out->len += made;
    if (ZSTD_sizeof_CCtx(context) > COMPRESS_KEEP_MAX) {
        (void)ZSTD_freeCCtx(context); /* always succeeds: not static */
        compressor->zstd_compress = NULL;
    }
    return r;
}

/* ---- one face ------------------------------------------------------------------------------ */

static int read_any(
    struct compressor *compressor, enum codec codec, struct bytes from, struct sink *sink)
{
    switch (codec) {
    case CODEC_GZIP: return gzip_read(compressor, from, sink);
    case CODEC_SNAPPY: return snappy_read(from, sink);
    case CODEC_LZ4: return lz4_read(compressor, from, sink);
    case CODEC_ZSTD: return zstd_read(compressor, from, sink);
    case CODEC_NONE:
    case CODEC_COUNT: break;
    }
    return -ENOTSUP;
}

int compressor_unpack(struct compressor *compressor, enum codec codec, struct bytes from,
    size_t size_max, struct out *out)
{
    if (codec == CODEC_NONE) {
        if (from.len > size_max)
            return -E2BIG;
        int r = out_reserve(out, from.len);
        if (!r)
            out_bytes(out, from.data, from.len);
        return r;
    }
    if ((unsigned)codec >= CODEC_COUNT)
        return -ENOTSUP;
    if (from.len > INT32_MAX)
        return -EBADMSG;
    size_t limit = from.len * COMPRESS_RATIO_MAX;
    if (limit < COMPRESS_RATIO_FREE)
        limit = COMPRESS_RATIO_FREE;
    if (limit > size_max)
        limit = size_max;
    struct sink sink = { out, out->len, limit };
    int r = 0;
    if (codec != CODEC_SNAPPY) /* which tells its size */
        r = sink_grow(&sink, SINK_START + from.len * GUESS_RATIO);
    if (!r)
        r = read_any(compressor, codec, from, &sink);
    if (r)
        out->len = sink.start;
    return r;
}

int compressor_pack(
    struct compressor *compressor, enum codec codec, int level, struct bytes from, struct out *out)
{
    CHECK(from.len <= INT32_MAX);
    switch (codec) {
    case CODEC_NONE: {
        int r = out_reserve(out, from.len);
        if (!r)
            out_bytes(out, from.data, from.len);
        return r;
    }
    case CODEC_GZIP: return gzip_write(compressor, level, from, out);
    case CODEC_SNAPPY: return snappy_write(from, out);
    case CODEC_LZ4: return lz4_write(compressor, level, from, out);
    case CODEC_ZSTD: return zstd_write(compressor, level, from, out);
    case CODEC_COUNT: break;
    }
    return -ENOTSUP;
}

bool compress_portable(enum codec codec, struct bytes payload)
{
    if (codec != CODEC_LZ4 || payload.len <= LZ4_FLAGS_AT)
        return true;
    uint8_t flags = payload.data[LZ4_FLAGS_AT];
    return (flags & LZ4_FLAG_INDEPENDENT) && !(flags & LZ4_FLAG_CONTENT_CHECKSUM);
}
