/* See doors.h. */
#include "storage/doors.h"

#include <stdarg.h>
#include <stdio.h>

void doors_say(struct doors *doors, enum log_level level, const char *format, ...)
{
    char line[1024]; /* longer lines are cut */
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (doors->say)
        doors->say(doors->say_context, level, line);
}
