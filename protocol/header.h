/*
 * header.h - whole requests and responses: header + body, and the frame's length in front.
 *
 * Which header a message has follows from its API and version (KIP-482): a flexible request has
 * header v2, others v1; a flexible response has header v1, others v0 - except ApiVersions, whose
 * response always has header v0, because the client does not know yet what the broker speaks
 * (KIP-511).
 */
#ifndef PROTOCOL_HEADER_H
#define PROTOCOL_HEADER_H

#include "protocol/messages.h"

/* Versions above the served ones get the header of the newest. */
int16_t request_header_version(const struct api_schema *api, int16_t version);
int16_t response_header_version(const struct api_schema *api, int16_t version);

/*
 * Reads the header and moves `reader` to the body. client_id borrows from the input.
 * Returns 0, or
 *   -EBADMSG  malformed (reader->reason says how)
 *   -ENOTSUP  no such API in the schema; key, version and correlation id are filled for the log
 * Whether the version is served is the caller's question: ApiVersions must answer even if not.
 */
int request_header_decode(struct reader *reader, struct request_header *ret_header) MUST_CHECK;

/*
 * Appends a whole frame: length, header, body. The length counts the bytes of `externals` (see
 * codec_encode), whose positions are in `out`.
 * Returns 0, or with `out` and `externals` unchanged: as codec_encode, or -EMSGSIZE (over 2^31 -
 * 1).
 */
int response_encode(const struct api_schema *api, int16_t version, int32_t correlation_id,
    const void *body, struct out *out, struct externals *externals) MUST_CHECK;

/* The other side, for tests and tools. `client_id` may be null. */
int request_encode(const struct api_schema *api, int16_t version, int32_t correlation_id,
    struct bytes client_id, const void *body, struct out *out) MUST_CHECK;
int response_header_decode(const struct api_schema *api, int16_t version, struct reader *reader,
    struct response_header *ret_header) MUST_CHECK;

#endif
