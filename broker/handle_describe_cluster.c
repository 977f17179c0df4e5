/*
 * handle_describe_cluster.c - DescribeCluster, versions 0 to 2: this one node, its address as the
 * client's listener advertises it, and the cluster's id.
 */
#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/operations.h"
#include "protocol/error.h"
#include "protocol/messages.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

static int16_t endpoint_code(const struct request *request, int8_t type)
{
    if (request->version == 0)
        return KAFKA_ERROR_INVALID_REQUEST;
    return type == ENDPOINT_CONTROLLERS ? KAFKA_ERROR_MISMATCHED_ENDPOINT_TYPE
                                        : KAFKA_ERROR_UNSUPPORTED_ENDPOINT_TYPE;
}

void handle_describe_cluster(struct request *request)
{
    const struct describe_cluster_request *body = request->body;
    struct describe_cluster_response *answer = request->answer;
    const struct broker_config *config = request->broker->config;
    if (body->endpoint_type != ENDPOINT_BROKERS) {
        answer->error_code = endpoint_code(request, body->endpoint_type);
        answer->error_message = answer_text(request,
            "this is an endpoint of brokers (type 1), not of type %d", body->endpoint_type);
        request_finish(request);
        return;
    }
    struct describe_cluster_response_broker *self =
        answer_array(request, &describe_cluster_response_broker_table, 1);
    if (!self)
        return;
    self->broker_id = config->node_id;
    self->host = request_advertised_host(request);
    self->port = request_advertised_port(request);
    if (config->rack)
        self->rack = bytes_text(config->rack);
    answer->brokers = self;
    answer->brokers_count = 1;
    answer->cluster_id = bytes_text(storage_cluster_id(request->broker->storage));
    answer->controller_id = config->node_id;
    if (body->include_cluster_authorized_operations)
        answer->cluster_authorized_operations = OPERATIONS_CLUSTER;
    request_finish(request);
}
