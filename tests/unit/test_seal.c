#include "check.h"

#include "common/mem.h"
#include "worker/seal.h"

/* The bytes 0 to 31. The text was made from the description in seal.h by another program. */
#define KEY    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define HEX    "000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHER  "CkU2urcjN42/9ERsuU3/5S6DeRkJXtBrxhvgKneOSUE="
#define SECRET "a-very-secret-auth-token"
#define SEALED                                                                                    \
    "sealed:v1:4b7bd3ad:QbEAT_Rj2zC03U27c7aZjndAxpd5xW6TBhYsQ2ScjMyXueFGb64yUq4mgUuz-zdr0HMSAL9J" \
    "oC1J9Miu9gQKuQ"

static struct seal_key key_of(const char *text)
{
    struct seal_key key;

    seal_init();
    assert_true(seal_key_parse(text, strlen(text), &key));
    return key;
}

static void check_opens(const char *name, const struct seal_key *key, const char *text,
                        const char *expected)
{
    char *secret = seal_open(key, text);

    check_string(name, secret, expected);
    free(secret);
}

static void makes_the_known_text(void **state)
{
    static const char *const keys[] = {KEY, HEX};
    char id[SEAL_ID_DIGITS + 1];

    (void)state;
    for (size_t i = 0; i < COUNT(keys); i++) {
        struct seal_key key = key_of(keys[i]);
        char *text = seal_make(&key, SECRET);

        check_string(keys[i], text, SEALED);
        check_string(keys[i], key.id, "4b7bd3ad");
        check_opens(keys[i], &key, SEALED, SECRET);
        free(text);
    }
    assert_true(seal_is_sealed(SEALED));
    seal_key_id(SEALED, id);
    assert_string_equal(id, "4b7bd3ad");
}

static void knows_a_key(void **state)
{
    static const char *const texts[] = {
        "",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", /* 31 bytes */
        KEY "\n",
        KEY KEY,
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", /* left-over bits */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        ("CkU2urcjN42\xff"
         "9ERsuU3/5S6DeRkJXtBrxhvgKneOSUE="),
        "000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1g",
        "000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e",
    };
    struct seal_key key;
    char text[SEAL_KEY_TEXT], again[SEAL_KEY_TEXT];

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        check_false(texts[i], seal_key_parse(texts[i], strlen(texts[i]), &key));
    seal_init();
    seal_key_make(text);
    seal_key_make(again);
    assert_true(seal_key_parse(text, strlen(text), &key));
    assert_string_not_equal(text, again);
}

/* Every character of the text, every bit that a character of base64 has. */
static void notices_every_change(void **state)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_:=\x80\xc3\xff";
    struct seal_key key = key_of(KEY);
    char *text = mem_strdup(SEALED);
    int tried = 0;

    (void)state;
    for (size_t i = 0; text[i] != '\0'; i++) {
        char original = text[i];

        for (size_t digit = 0; digits[digit] != '\0'; digit++) {
            text[i] = digits[digit];
            if (text[i] != original)
                check_opens(text, &key, text, NULL);
            tried++;
        }
        text[i] = original;
    }
    assert_int_equal(tried, (int)(strlen(SEALED) * strlen(digits)));
    check_opens(text, &key, text, SECRET);
    free(text);
}

static void takes_no_part(void **state)
{
    struct seal_key key = key_of(KEY);
    char *longer = mem_printf("%s%s", SEALED, "A");

    (void)state;
    for (size_t length = 0; length < strlen(SEALED); length++) {
        char *text = mem_copy(SEALED, length);

        check_opens(text, &key, text, NULL);
        free(text);
    }
    check_opens(longer, &key, longer, NULL);
    free(longer);
}

/* Well encrypted, but with a nonce of its maker's choice: it would be a second text for a secret.
 */
static void a_secret_has_one_text(void **state)
{
    static const char other[] = "sealed:v1:4b7bd3ad:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1nxJC0fyM"
                                "mVBZiTkyGwQGPqzsd2VOPWwX7lGN4wyCHktrTABvoFxxA";
    struct seal_key key = key_of(KEY);

    (void)state;
    assert_true(seal_is_sealed(other));
    check_opens("other nonce", &key, other, NULL);
}

static void another_key_opens_nothing(void **state)
{
    struct seal_key key = key_of(KEY), other = key_of(OTHER), named = other;
    char *text = seal_make(&other, SECRET);

    (void)state;
    check_opens("other's text", &key, text, NULL);
    check_opens("other key", &other, SEALED, NULL);
    memcpy(named.id, key.id, sizeof named.id); /* two keys may have one id */
    check_opens("same id", &named, SEALED, NULL);
    free(text);
}

static void bounds_the_secret(void **state)
{
    struct seal_key key = key_of(KEY);

    (void)state;
    assert_null(seal_make(&key, ""));
    for (size_t length = 1; length <= SEAL_SECRET_MAX + 1; length++) {
        char *secret = check_repeat("s", length);
        char *text = seal_make(&key, secret);

        check_int(secret, text != NULL, length <= SEAL_SECRET_MAX);
        if (text != NULL) {
            check_true(secret, strlen(text) <= SEAL_TEXT_MAX && seal_is_sealed(text));
            check_opens(secret, &key, text, secret);
        }
        free(text);
        free(secret);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_the_known_text),      cmocka_unit_test(knows_a_key),
        cmocka_unit_test(notices_every_change),      cmocka_unit_test(takes_no_part),
        cmocka_unit_test(another_key_opens_nothing), cmocka_unit_test(bounds_the_secret),
        cmocka_unit_test(a_secret_has_one_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
