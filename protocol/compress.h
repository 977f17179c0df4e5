/*
 * compress.h - one face for Kafka's four codecs.
 *
 * What is read may come from anybody, so nothing it declares is believed: output grows with what is
 * really produced and stops at a limit. What is written can be read by the Java client, librdkafka
 * and older clients (see the formats in compress.c).
 *
 * A compressor holds the codecs' contexts (some hundred KiB each, made at first use) so that they
 * are not built anew for each batch. One per thread; nothing is shared.
 *
 * Sources: KIP-110 (zstd), KIP-390 (levels), RFC 1952, the LZ4 frame format 1.6, snappy-java's
 * stream format ("xerial").
 */
#ifndef PROTOCOL_COMPRESS_H
#define PROTOCOL_COMPRESS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

/* Bits 0-2 of a batch's attributes. 5 to 7 are nobody's. */
enum codec {
    CODEC_NONE = 0,
    CODEC_GZIP = 1,
    CODEC_SNAPPY = 2,
    CODEC_LZ4 = 3,
    CODEC_ZSTD = 4,
    CODEC_COUNT
};

enum {
    /* The codec's own choice, as Kafka's clients have it: gzip 6, lz4 fast, zstd 3. */
    COMPRESS_LEVEL_DEFAULT = INT_MIN,
    /* Output beyond COMPRESS_RATIO_FREE bytes may be at most COMPRESS_RATIO_MAX times the input.
     * (gzip cannot exceed 1,032, lz4 255, snappy 22; zstd knows no bound.) */
    COMPRESS_RATIO_MAX = 1100,
    COMPRESS_RATIO_FREE = 16 << 20,
    /* Contexts and scratch memory that grew beyond this are given back after use. */
    COMPRESS_KEEP_MAX = 8 << 20,
    /* zstd frames that want a larger window are refused (2^27 is what every zstd reads unasked). */
    COMPRESS_ZSTD_WINDOW_LOG_MAX = 27,
};

struct compressor {
    void *inflate, *deflate;               /* struct z_stream_s, or NULL until used */
    int deflate_level;                     /* of `deflate` */
    void *lz4_compress, *lz4_decompress;   /* struct LZ4F_cctx_s, LZ4F_dctx_s */
    void *zstd_compress, *zstd_decompress; /* struct ZSTD_CCtx_s, ZSTD_DCtx_s */
    struct out scratch;                    /* what compressor_scratch hands out */
};

/* Allocates nothing yet. */
void compressor_init(struct compressor *compressor);
/* Accepts a zeroed one. */
void compressor_done(struct compressor *compressor);
/* An empty output that lives until the next call or compressor_done; if the last user left it
 * larger than COMPRESS_KEEP_MAX, that memory is given back first. */
struct out *compressor_scratch(struct compressor *compressor);

/* "none", "gzip", "snappy", "lz4", "zstd": the words of compression.type. "?" for any other. */
const char *codec_name(enum codec codec);
/* By such a word; false if it is none of them. */
bool codec_by_name(struct bytes name, enum codec *ret);

/*
 * Appends all that `from` holds to `out`, at most `size_max` bytes. On failure `out` is as long as
 * before (it may have grown its memory).
 *   -EBADMSG  not this format, cut short, or bytes left over behind its end
 *   -E2BIG    more than `size_max`, or beyond COMPRESS_RATIO_MAX
 *   -ENOTSUP  the codec is none of Kafka's
 *   -ENOMEM   no memory for the output or for a context
 * CODEC_NONE copies.
 */
int compressor_unpack(struct compressor *compressor, enum codec codec, struct bytes from,
    size_t size_max, struct out *out) MUST_CHECK;

/*
 * Appends the compressed form of `from` (less than 2 GiB) to `out`; an empty `from` gives a
 * complete, empty stream. `level`: gzip 1-9, lz4 1-17, zstd -131072 to 22; out of range is cut to
 * the range; snappy has none. Errors: -ENOTSUP, -ENOMEM, as above, `out` as long as before.
 */
int compressor_pack(struct compressor *compressor, enum codec codec, int level, struct bytes from,
    struct out *out) MUST_CHECK;

/* Whether Kafka's Java client can read this payload. It cannot if an lz4 frame has blocks that
 * depend on each other, or a checksum of its content: a broker must not store those as they are. */
bool compress_portable(enum codec codec, struct bytes payload);

#endif
