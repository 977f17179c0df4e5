/* The text form of uuids, against values computed by hand, and what is refused. */
#include "protocol/uuid.h"

#include <errno.h>

#include "protocol/base/random.h"
#include "tests/test.h"

static struct uuid counting(void)
{
    struct uuid uuid;
    for (int i = 0; i < 16; i++)
        uuid.b[i] = (uint8_t)i;
    return uuid;
}

TEST(uuid, text_is_base64url_of_22_characters)
{
    char text[UUID_TEXT_LEN + 1];
    struct uuid ones;
    memset(&ones, 0xff, sizeof(ones));
    uuid_text((struct uuid){ { 0 } }, text);
    cr_assert_str_eq(text, "AAAAAAAAAAAAAAAAAAAAAA");
    uuid_text(counting(), text);
    cr_assert_str_eq(text, "AAECAwQFBgcICQoLDA0ODw");
    uuid_text(ones, text);
    cr_assert_str_eq(text, "_____________________w");
}

TEST(uuid, parses_what_it_wrote)
{
    struct random random = random_seeded(1);
    for (int i = 0; i < 1000; i++) {
        struct uuid uuid = uuid_random(&random), back;
        char text[UUID_TEXT_LEN + 1];
        uuid_text(uuid, text);
        cr_assert_eq(strlen(text), UUID_TEXT_LEN);
        cr_assert_neq(text[0], '-');
        cr_assert_eq(uuid_parse(bytes_text(text), &back), 0);
        cr_assert(uuid_equal(uuid, back));
    }
}

TEST(uuid, refuses_other_texts)
{
    static const char *const texts[] = {
        "",
        "AAECAwQFBgcICQoLDA0OD",   /* one short */
        "AAECAwQFBgcICQoLDA0ODwA", /* one long */
        "AAECAwQFBgcICQoLDA0ODx",  /* bits behind the 128th */
        "AAECAwQFBgcICQoLDA0O+w",  /* plain base64 */
        "AAECAwQFBgcICQoLDA0O w",
    };
    struct uuid uuid = counting();
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        cr_assert_eq(uuid_parse(bytes_text(texts[i]), &uuid), -EINVAL, "%s", texts[i]);
    cr_assert_eq(uuid_parse(bytes_of("AAECAwQFBgcICQoLDA0O\0w", 22), &uuid), -EINVAL);
    cr_assert(uuid_equal(uuid, counting()), "a refused text changed the result");
}

TEST(uuid, zero_and_reserved)
{
    struct uuid one = { { 0 } };
    cr_assert(uuid_zero(one));
    one.b[15] = 1;
    cr_assert_not(uuid_zero(one));
}
