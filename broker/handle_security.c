/*
 * handle_security.c - SaslHandshake (0-1), SaslAuthenticate (0-2), DescribeAcls, CreateAcls,
 * DeleteAcls (1-3), as Kafka answers them where nobody logs in and no authorizer is set: neither is
 * served yet, a configuration that asks for one is refused at the start.
 *
 *   login  ILLEGAL_SASL_STATE: every listener is PLAINTEXT. A client that is set to log in hears at
 *          once what is wrong; without an answer it would try again until it runs out of time.
 *   ACLs   SECURITY_DISABLED for each rule or filter, of what kind ever. MirrorMaker 2 and user
 *          interfaces know by it that there are none, and go on.
 */
#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/connection_state.h"
#include "protocol/error.h"
#include "protocol/messages.h"

#define NO_AUTHORIZER "No authorizer is configured: everybody may do everything"

enum { MECHANISM_SHOWN_MAX = 40 };

void handle_sasl_handshake(struct request *request)
{
    const struct sasl_handshake_request *body = request->body;
    struct sasl_handshake_response *answer = request->answer;
    size_t shown = body->mechanism.len;
    if (shown > MECHANISM_SHOWN_MAX)
        shown = MECHANISM_SHOWN_MAX;
    broker_complain(request->broker,
        "%s: the client wants to log in (SASL %.*s), this listener takes everybody as they are: "
        "it needs security.protocol=PLAINTEXT",
        request->connection->peer, (int)shown, (const char *)body->mechanism.data);
    answer->error_code = KAFKA_ERROR_ILLEGAL_SASL_STATE;
    request_finish(request);
}

void handle_sasl_authenticate(struct request *request)
{
    struct sasl_authenticate_response *answer = request->answer;
    answer->error_code = KAFKA_ERROR_ILLEGAL_SASL_STATE;
    answer->error_message = bytes_text("there is no login on this listener");
    answer->auth_bytes = bytes_of("", 0);
    request_finish(request);
}

void handle_describe_acls(struct request *request)
{
    struct describe_acls_response *answer = request->answer;
    answer->error_code = KAFKA_ERROR_SECURITY_DISABLED;
    answer->error_message = bytes_text(NO_AUTHORIZER);
    request_finish(request);
}

void handle_create_acls(struct request *request)
{
    const struct create_acls_request *body = request->body;
    struct create_acls_response *answer = request->answer;
    answer->results = answer_array(
        request, &create_acls_response_acl_creation_result_table, body->creations_count);
    if (!answer->results)
        return;
    answer->results_count = body->creations_count;
    for (int32_t i = 0; i < answer->results_count; i++) {
        answer->results[i].error_code = KAFKA_ERROR_SECURITY_DISABLED;
        answer->results[i].error_message = bytes_text(NO_AUTHORIZER);
    }
    request_finish(request);
}

void handle_delete_acls(struct request *request)
{
    const struct delete_acls_request *body = request->body;
    struct delete_acls_response *answer = request->answer;
    answer->filter_results =
        answer_array(request, &delete_acls_response_filter_result_table, body->filters_count);
    if (!answer->filter_results)
        return;
    answer->filter_results_count = body->filters_count;
    for (int32_t i = 0; i < answer->filter_results_count; i++) {
        answer->filter_results[i].error_code = KAFKA_ERROR_SECURITY_DISABLED;
        answer->filter_results[i].error_message = bytes_text(NO_AUTHORIZER);
    }
    request_finish(request);
}
