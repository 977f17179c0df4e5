/* See header.h. */
#include "protocol/header.h"

#include <errno.h>

enum { SIZE_LEN = 4 };

int16_t request_header_version(const struct api_schema *api, int16_t version)
{
    struct versions flexible = api->request->flexible;
    return flexible.min <= flexible.max && version >= flexible.min ? 2 : 1;
}

int16_t response_header_version(const struct api_schema *api, int16_t version)
{
    struct versions flexible = api->response->flexible;
    if (api->key == API_API_VERSIONS)
        return 0;
    return flexible.min <= flexible.max && version >= flexible.min ? 1 : 0;
}

int request_header_decode(struct reader *reader, struct request_header *ret_header)
{
    codec_defaults(&request_header_message, ret_header);
    if (!reader->error && reader_left(reader) >= 8) {
        ret_header->request_api_key = (int16_t)be_get16(reader->at);
        ret_header->request_api_version = (int16_t)be_get16(reader->at + 2);
        ret_header->correlation_id = (int32_t)be_get32(reader->at + 4);
    }
    const struct api_schema *api = api_schema_find(ret_header->request_api_key);
    if (!api)
        return -ENOTSUP;
    int16_t version = request_header_version(api, ret_header->request_api_version);
    return codec_decode(&request_header_message, version, reader, NULL, ret_header);
}

int response_header_decode(const struct api_schema *api, int16_t version, struct reader *reader,
    struct response_header *ret_header)
{
    int16_t header_version = response_header_version(api, version);
    return codec_decode(&response_header_message, header_version, reader, NULL, ret_header);
}

/* A message and its header in front, as one frame. */
struct frame_parts {
    const struct message *header_message, *body_message;
    const void *header, *body;
    int16_t header_version, version;
};

static int frame_encode(
    const struct frame_parts *parts, struct out *out, struct externals *externals)
{
    size_t start = out->len;
    size_t external_count = externals ? externals->count : 0;
    size_t external_len = externals ? externals->len : 0;
    (void)out_add(out, SIZE_LEN);
    int status =
        codec_encode(parts->header_message, parts->header_version, parts->header, out, NULL);
    if (!status)
        status = codec_encode(parts->body_message, parts->version, parts->body, out, externals);
    size_t size = out->len - start - SIZE_LEN;
    if (externals)
        size += externals->len - external_len;
    if (!status && size > INT32_MAX)
        status = -EMSGSIZE;
    if (status) {
        out->len = start;
        if (externals) {
            externals->count = external_count;
            externals->len = external_len;
        }
        return status;
    }
    be_put32(out->data + start, (uint32_t)size);
    return 0;
}

int response_encode(const struct api_schema *api, int16_t version, int32_t correlation_id,
    const void *body, struct out *out, struct externals *externals)
{
    struct response_header header = { .correlation_id = correlation_id };
    return frame_encode(
        &(struct frame_parts){
            .header_message = &response_header_message,
            .header = &header,
            .header_version = response_header_version(api, version),
            .body_message = api->response,
            .body = body,
            .version = version,
        },
        out, externals);
}

int request_encode(const struct api_schema *api, int16_t version, int32_t correlation_id,
    struct bytes client_id, const void *body, struct out *out)
{
    struct request_header header = {
        .request_api_key = api->key,
        .request_api_version = version,
        .correlation_id = correlation_id,
        .client_id = client_id,
    };
    return frame_encode(
        &(struct frame_parts){
            .header_message = &request_header_message,
            .header = &header,
            .header_version = request_header_version(api, version),
            .body_message = api->request,
            .body = body,
            .version = version,
        },
        out, NULL);
}
