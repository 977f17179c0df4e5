/* Names and classes of a few codes that clients know by heart; the table's ends. */
#include "protocol/error.h"

#include <string.h>

#include "tests/test.h"

TEST(error, names_and_retriability)
{
    cr_assert_eq(KAFKA_ERROR_NONE, 0);
    cr_assert_eq(KAFKA_ERROR_UNSUPPORTED_VERSION, 35);
    cr_assert_eq(KAFKA_ERROR_MEMBER_ID_REQUIRED, 79);
    cr_assert_str_eq(error_name(-1), "UNKNOWN_SERVER_ERROR");
    cr_assert_str_eq(error_name(0), "NONE");
    cr_assert_str_eq(error_name(3), "UNKNOWN_TOPIC_OR_PARTITION");
    cr_assert_str_eq(error_name(133), "SHARE_SESSION_LIMIT_REACHED");
    cr_assert(error_retriable(KAFKA_ERROR_NOT_COORDINATOR));
    cr_assert_not(error_retriable(KAFKA_ERROR_UNKNOWN_MEMBER_ID));
}

TEST(error, every_code_has_a_row)
{
    for (int16_t code = -1; code <= 133; code++) {
        cr_assert_str_neq(error_name(code), "UNKNOWN", "code %d", code);
        cr_assert_gt(strlen(error_text(code)), 0);
    }
}

TEST(error, unknown_codes_are_said_to_be)
{
    static const int16_t codes[] = { -2, 134, INT16_MIN, INT16_MAX };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        cr_assert_str_eq(error_name(codes[i]), "UNKNOWN");
        cr_assert_not(error_retriable(codes[i]));
    }
}
