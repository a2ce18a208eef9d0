/* Environments: wrong ones are told in one line; what is shown of right ones holds no secret. */
#include "worker/settings.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"

#define VARIABLES   64
#define REPEATS_MAX 3

/* librdkafka's properties that hold a secret: those of its CONFIGURATION.md that are sensitive. */
static const char *const secret_properties[] = {
    "sasl.password", "ssl.key.password",        "ssl.keystore.password",
    "ssl.key.pem",   "sasl.oauthbearer.config", "sasl.oauthbearer.client.secret",
};

/* A variable for each line of the first piece, and for each other piece, whatever it has. */
static void read_environment(struct fuzz_input *input, char **ret_environment)
{
    char *rest = input->pieces[0], *line;
    int count = 0;

    while (count < VARIABLES - FUZZ_PIECES && (line = strsep(&rest, "\n")) != NULL)
        ret_environment[count++] = line;
    for (int i = 1; i < input->count; i++)
        ret_environment[count++] = input->pieces[i];
    ret_environment[count] = NULL;
}

/*
 * The C library takes twice the memory for each "+" behind another in a regular expression, and
 * seconds for a hundred "*". Whoever writes MMS_EVENT_TOPICS runs the worker; he is believed.
 */
static bool takes_long(char *const *environment)
{
    for (; *environment != NULL; environment++) {
        size_t repeats = 0;

        for (const char *c = *environment; *c != '\0'; c++)
            repeats += *c == '+' || *c == '{' || *c == '*';
        if (repeats > REPEATS_MAX && strncmp(*environment, "MMS_EVENT_TOPICS=", 17) == 0)
            return true;
    }
    return false;
}

/* What is logged of them, but for the time. */
static json_t *shown(const struct settings *settings)
{
    size_t length;
    json_t *json;
    char *text;

    fuzz_capture();
    settings_log(settings);
    text = fuzz_captured(&length);
    must(length > 0 && memchr(text, '\n', length) == text + length - 1);
    json = json_loadb(text, length, 0, NULL);
    must(json_is_object(json));
    json_object_del(json, "time");
    free(text);
    return json;
}

static void add_option(struct buf *out, const PQconninfoOption *option)
{
    char *value = mem_strdup(option->val);

    if (strstr(option->keyword, "password") != NULL)
        fuzz_rotate(value);
    buf_printf(out, "%s='", option->keyword);
    for (const char *c = value; *c != '\0'; c++)
        buf_printf(out, strchr("'\\", *c) != NULL ? "\\%c" : "%c", *c);
    buf_add_string(out, "' ");
    free(value);
}

/* The same database with another password. */
static char *other_database(const char *url)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    struct buf out;

    must(options != NULL);
    buf_init(&out, (size_t)1 << 20);
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (o->val != NULL)
            add_option(&out, o);
    }
    PQconninfoFree(options);
    return buf_detach(&out);
}

static void check_shown(const json_t *json, const char *name, int64_t us)
{
    double seconds = strtod(json_string_value(json_object_get(json, name)), NULL);

    must(seconds * CLOCK_SECOND > (double)us - 0.5 && seconds * CLOCK_SECOND < (double)us + 0.5);
}

/* With other secrets the same is shown. */
static void check_silent(struct settings *settings)
{
    json_t *before = shown(settings), *after;
    char *url = other_database(settings->database_url);

    check_shown(before, "MMS_TWILIO_TIMEOUT", settings->twilio_timeout);
    check_shown(before, "MMS_RETRY_BASE", settings->retry_base);
    check_shown(before, "MMS_EXPIRE_AFTER", settings->expire_after);
    free(settings->database_url);
    settings->database_url = url;
    for (size_t i = 0; i < settings->kafka_properties.count; i++) {
        const struct config_pair *pair = &settings->kafka_properties.pairs[i];

        for (size_t j = 0; j < sizeof secret_properties / sizeof secret_properties[0]; j++) {
            if (strcmp(pair->name, secret_properties[j]) == 0)
                fuzz_rotate(pair->value);
        }
    }
    after = shown(settings);
    must(json_equal(before, after));
    json_decref(before);
    json_decref(after);
}

static void check_settings(const struct settings *s)
{
    must(s->lease >= s->twilio_timeout + 10 * CLOCK_SECOND);
    must(s->retry_max >= s->retry_base && s->retry_base >= CLOCK_MS);
    must(s->max_attempts >= 1 && s->max_attempts <= 1000);
    must(strchr(s->twilio_base_url, '@') == NULL);
    must(strncasecmp(s->twilio_base_url, "http", 4) == 0);
    must(s->callback_listen[0] == '\0' || s->status_callback_url[0] != '\0');
}

static void check_error(const char *error, size_t size)
{
    must(fuzz_is_line(error, size));
    if (strstr(error, "no such setting") != NULL)
        return; /* a name is repeated, whatever it looks like */
    /* URLs with a password in them are not repeated. */
    if (strncmp(error, "MMS_TWILIO_BASE_URL:", 20) == 0 ||
        strncmp(error, "MMS_STATUS_CALLBACK_URL:", 24) == 0)
        must(strchr(error, '@') == NULL);
    if (strncmp(error, "MMS_DATABASE_URL:", 17) == 0)
        must(strncmp(error, "MMS_DATABASE_URL: not valid, ", 29) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *environment[VARIABLES], error[SETTINGS_ERROR_SIZE] = "";
    struct settings settings;
    struct fuzz_input input;

    log_configure(LOG_INFO, false);
    fuzz_split(data, size, &input);
    read_environment(&input, environment);
    if (takes_long(environment)) {
        fuzz_release(&input);
        return -1;
    }
    if (settings_load(&settings, environment, error, sizeof error)) {
        check_settings(&settings);
        check_silent(&settings);
    } else {
        check_error(error, sizeof error);
    }
    settings_release(&settings);
    if (!settings_load_database(&settings, environment, error, sizeof error))
        check_error(error, sizeof error);
    settings_release(&settings);
    fuzz_release(&input);
    return 0;
}
