#include "check.h"

#include "worker/secret.h"

#define SEALED                                                                                    \
    "sealed:v1:4b7bd3ad:QbEAT_Rj2zC03U27c7aZjndAxpd5xW6TBhYsQ2ScjMyXueFGb64yUq4mgUuz-zdr0HMSAL9J" \
    "oC1J9Miu9gQKuQ"

static void tells_what_it_is(void **state)
{
    static const struct {
        const char *text;
        enum secret_form form;
        const char *expected; /* is in what is said */
    } cases[] = {
        {"0123456789abcdef0123456789abcdef", SECRET_PLAIN, NULL},
        {"ENV:NAME", SECRET_PLAIN, NULL},
        {"environment", SECRET_PLAIN, NULL},
        {"a:b", SECRET_PLAIN, NULL},
        {"", SECRET_INVALID, NULL},
        {"a b", SECRET_INVALID, NULL},
        {"a\tb", SECRET_INVALID, NULL},
        {"a\n", SECRET_INVALID, NULL},

        {"env:TWILIO_TOKEN", SECRET_ENV, NULL},
        {"env:_", SECRET_ENV, NULL},
        {"env:A1", SECRET_ENV, NULL},
        {"env:P", SECRET_ENV, NULL},
        {"env:MMS", SECRET_ENV, NULL},
        {"env:", SECRET_INVALID, "in capitals"},
        {"env:1A", SECRET_INVALID, "in capitals"},
        {"env:hush", SECRET_INVALID, "in capitals"},
        {"env:Hush", SECRET_INVALID, "in capitals"},
        {"env:A B", SECRET_INVALID, "in capitals"},
        {"env:A=B", SECRET_INVALID, "in capitals"},
        {"env:A\n", SECRET_INVALID, "in capitals"},
        {"env:MMS_DATABASE_URL", SECRET_INVALID, "begin with MMS_ or PG"},
        {"env:PGPASSWORD", SECRET_INVALID, "begin with MMS_ or PG"},

        {"file:/run/secrets/token", SECRET_FILE, NULL},
        {"file:/a", SECRET_FILE, NULL},
        {"file:/run/..data/.token", SECRET_FILE, NULL},
        {"file:/run/...", SECRET_FILE, NULL},
        {"file:", SECRET_INVALID, "absolute path"},
        {"file:/", SECRET_INVALID, "absolute path"},
        {"file:token", SECRET_INVALID, "absolute path"},
        {"file:./token", SECRET_INVALID, "absolute path"},
        {"file://run/token", SECRET_INVALID, "absolute path"},
        {"file:/run//token", SECRET_INVALID, "absolute path"},
        {"file:/run/./token", SECRET_INVALID, "absolute path"},
        {"file:/run/../token", SECRET_INVALID, "absolute path"},
        {"file:/run/..", SECRET_INVALID, "absolute path"},
        {"file:/run/token/", SECRET_INVALID, "absolute path"},
        {"file:/run/a token", SECRET_INVALID, "absolute path"},

        {SEALED, SECRET_SEALED, NULL},
        {"sealed:", SECRET_INVALID, "secret seal"},
        {"sealed:hush", SECRET_INVALID, "secret seal"},
        {"sealed:v1:4b7bd3ad:", SECRET_INVALID, "secret seal"},
        {"sealed:v2:4b7bd3ad:QbEAT_Rj2zC03U27c7aZjndAxpd5xW6TBhYsQ2ScjMyXueFGb64yUq4m",
         SECRET_INVALID, "secret seal"},
        {SEALED "=", SECRET_INVALID, "secret seal"},
        {" " SEALED, SECRET_INVALID, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *expected = NULL;

        check_int(cases[i].text, secret_form(cases[i].text, &expected), cases[i].form);
        check_int(cases[i].text, secret_is_reference(cases[i].text), cases[i].form > SECRET_PLAIN);
        if (cases[i].expected != NULL)
            check_contains(cases[i].text, expected, cases[i].expected);
        else
            check_string(cases[i].text, expected, NULL);
    }
}

static void bounds_the_text(void **state)
{
    static const char *const prefixes[] = {"", "env:", "file:/"};

    (void)state;
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        for (size_t length = 254; length <= 257; length++) {
            char *rest = check_repeat("A", length - strlen(prefixes[i]));
            char text[300];

            snprintf(text, sizeof text, "%s%s", prefixes[i], rest);
            check_int(text, secret_form(text, NULL) != SECRET_INVALID, length <= SECRET_MAX);
            free(rest);
        }
    }
}

static void check_reveals(const char *name, const char *text, const char *secret, const char *why)
{
    char said[600] = "";
    char *found = secret_reveal(NULL, text, said, sizeof said);

    check_string(name, found, secret);
    if (why != NULL)
        check_contains(name, said, why);
    check_lacks(name, said, "hush");
    secret_free(found);
}

static void reveals_without_settings(void **state)
{
    (void)state;
    setenv("UNIT_TOKEN", "hush-token", 1);
    setenv("UNIT_EMPTY", "", 1);
    setenv("UNIT_BLANK", "hush token", 1);
    setenv("UNIT_NESTED", "env:UNIT_TOKEN", 1);
    check_reveals("plain", "hush-token", "hush-token", NULL);
    check_reveals("set", "env:UNIT_TOKEN", "hush-token", NULL);
    check_reveals("unset", "env:UNIT_NOT_THERE", NULL, "env:UNIT_NOT_THERE: not set, expected ");
    check_reveals("empty", "env:UNIT_EMPTY", NULL, "env:UNIT_EMPTY: not set, expected ");
    check_reveals("blank", "env:UNIT_BLANK", NULL, "env:UNIT_BLANK: what is there is not valid");
    check_reveals("nested", "env:UNIT_NESTED", NULL, "env:UNIT_NESTED: what is there is not valid");
    check_reveals("file", "file:/etc/hostname", NULL, "not below a directory of MMS_SECRET_DIRECT");
    check_reveals("sealed", SEALED, NULL, "sealed with key 4b7bd3ad, expected that key among");
    check_reveals("invalid", "env:MMS_DATABASE_URL", NULL, "not valid");
}

static void refuses_wrong_settings(void **state)
{
    static const struct {
        const char *directories, *key_files, *error;
    } cases[] = {
        {"secrets", "", "MMS_SECRET_DIRECTORIES: 'secrets' is not valid, expected "},
        {"/run/secrets,/", "", "MMS_SECRET_DIRECTORIES: '/' is not valid, expected "},
        {"/run/../etc", "", "MMS_SECRET_DIRECTORIES: '/run/../etc' is not valid, expected "},
        {"/a,/b,/c,/d,/e,/f,/g,/h,/i", "", "'/i' is not valid, expected at most 8 "},
        {"", "key", "MMS_SECRET_KEY_FILES: not valid, expected absolute paths of files with keys"},
        {"", "/AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
         "MMS_SECRET_KEY_FILES: not valid, expected absolute paths"},
        {"", "/nowhere/at/all", "MMS_SECRET_KEY_FILES: '/nowhere/at/all': No such file"},
        {"", "/dev/null", "MMS_SECRET_KEY_FILES: '/dev/null': not a regular file"},
    };
    char error[512];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct secrets *secrets =
            secrets_open(cases[i].directories, cases[i].key_files, error, sizeof error);

        check_true(cases[i].error, secrets == NULL);
        check_contains(cases[i].error, error, cases[i].error);
    }
    secrets_close(secrets_open(" /run/secrets/ , /run/credentials", "", error, sizeof error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_it_is),
        cmocka_unit_test(bounds_the_text),
        cmocka_unit_test(reveals_without_settings),
        cmocka_unit_test(refuses_wrong_settings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
