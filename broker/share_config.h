/*
 * share_config.h - what holds for one share group: its own values (AlterConfigs on the group), else
 * the broker's. A value that is outside the broker's bounds of today is brought to the nearest.
 */
#ifndef BROKER_SHARE_CONFIG_H
#define BROKER_SHARE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/share_partition.h"
#include "protocol/base/bytes.h"

struct broker;

struct share_limits share_config_limits(struct broker *broker, struct bytes group);
int32_t share_config_lock_ms(struct broker *broker, struct bytes group);
int32_t share_config_heartbeat_ms(struct broker *broker, struct bytes group);
int32_t share_config_session_ms(struct broker *broker, struct bytes group);
/* ISOLATION_* of partition.h. */
int8_t share_config_isolation(struct broker *broker, struct bytes group);
/* May members ask for more time? */
bool share_config_renews(struct broker *broker, struct bytes group);

enum share_reset { SHARE_RESET_LATEST, SHARE_RESET_EARLIEST, SHARE_RESET_DURATION };
/* Where the group begins with a partition; SHARE_RESET_DURATION: this long ago. */
enum share_reset share_config_reset(
    struct broker *broker, struct bytes group, int64_t *ret_duration_ms);
/* PnDTnHnMn.nS in ms; what is not like that counts as nothing, what is too long as INT64_MAX / 4.
 */
int64_t share_config_duration(struct bytes text);

#endif
