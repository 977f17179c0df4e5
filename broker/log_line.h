/* log_line.h - one line of the log: "2026-11-21T12:34:05.123Z INFO  text\n". */
#ifndef BROKER_LOG_LINE_H
#define BROKER_LOG_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "storage/doors.h"

/* Writes the line into `to` (cut to size) and returns its length. Control characters of the text
 * become '?', so that no client can forge a line. */
size_t log_line_format(
    char *to, size_t size, int64_t wall_ms, enum log_level level, const char *text);

#endif
