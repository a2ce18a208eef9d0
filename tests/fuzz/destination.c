/* Configs of destinations: accepted ones are accepted again, and no word depends on a secret. */
#include "worker/destination.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/fuzz/fuzz.h"
#include "worker/commands/row.h"

#define WHY 640

static void check_same(const char *a, const char *b)
{
    must((a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0));
}

static void check_again(const struct destination *d, const char *text)
{
    struct destination again;
    char why[WHY];

    must(destination_parse("TWILIO_MMS", text, &again, why, sizeof why));
    must(json_equal(d->json, again.json));
    check_same(d->from, again.from);
    check_same(d->to, again.to);
    check_same(d->body_template, again.body_template);
    check_same(d->user, again.user);
    check_same(d->auth_text, again.auth_text);
    check_same(d->password_text, again.password_text);
    check_same(d->warning, again.warning);
    must(d->truncate == again.truncate && d->sms_fallback == again.sms_fallback);
    must(d->options.count == again.options.count);
    for (int i = 0; i < d->options.count; i++) {
        check_same(d->options.list[i].name, again.options.list[i].name);
        check_same(d->options.list[i].value, again.options.list[i].value);
    }
    destination_release(&again);
}

/* It goes on the wire as the number that it is. */
static void check_price(const struct destination *d)
{
    const char *price = options_value(&d->options, "MaxPrice");

    must(price == NULL ||
         strtod(price, NULL) == json_number_value(json_object_get(d->json, "max_price")));
}

/* What stands for a secret: the secret itself, or a reference. */
static void check_text(const char *text)
{
    must(fuzz_is_line(text, SECRET_TEXT_MAX + 1) && strpbrk(text, " \t") == NULL);
    must(secret_is_reference(text)
             ? fuzz_matches("^(env|file|sealed):", text)
             : !fuzz_matches("^(env|file|sealed):", text) && strlen(text) <= SECRET_MAX);
}

static void check_accepted(const struct destination *d)
{
    char *text = fuzz_json_text(d->json);
    char *shorter = row_text(d->json, JSON_COMPACT);

    must(d->to[0] != '\0' && d->body_template[0] != '\0');
    must(d->from != NULL || d->messaging_service_sid != NULL);
    must(json_array_size(d->media_urls) >= 1 && json_array_size(d->media_urls) <= 10);
    must(fuzz_matches("^AC[0-9A-Za-z]{32}$", d->account_sid));
    must(d->auth_token == NULL && d->password == NULL);
    check_text(d->auth_text);
    check_text(d->password_text);
    must(d->warning[0] == '\0' || fuzz_is_line(d->warning, sizeof d->warning));
    for (int i = 0; i < d->options.count; i++)
        must(fuzz_is_line(d->options.list[i].value, 2049));
    check_price(d);
    check_again(d, text);
    check_again(d, shorter);
    free(text);
    free(shorter);
}

/* Another of the same form and length; what is no reference may be a token in the wrong words. */
static char *other_secret(const char *text)
{
    static const char *const prefixes[] = {"env:", "file:", "sealed:"};
    char *other = mem_strdup(text);

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(text, prefixes[i], strlen(prefixes[i])) != 0)
            continue;
        free(other);
        return mem_printf("%s another", prefixes[i]);
    }
    fuzz_rotate(other);
    if (secret_form(other, NULL) == secret_form(text, NULL))
        return other;
    free(other); /* it became a reference */
    return mem_strdup(text);
}

static void rotate_secrets(json_t *config)
{
    static const char *const secrets[] = {"auth_token", "api_key_secret"};
    json_t *auth = json_object_get(config, "auth");

    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        const char *secret = json_string_value(json_object_get(auth, secrets[i]));

        if (secret != NULL && !secret_is_reference(secret)) {
            char *other = other_secret(secret);

            json_object_set_new(auth, secrets[i], json_string(other));
            free(other);
        }
    }
}

/*
 * Without the environment, files and keys that references lead to: who isn't told the secret is
 * told why, and no word of the other secret.
 */
static void check_reveal(struct destination *d, char *why, size_t size)
{
    bool revealed = destination_reveal(d, NULL, why, size);

    if (!revealed) {
        must(fuzz_is_line(why, size) && d->auth_token == NULL && d->password == NULL);
        must(secret_is_reference(d->auth_text) || secret_is_reference(d->password_text));
        must(strncmp(why, "config.auth.", strlen("config.auth.")) == 0);
        return;
    }
    /* In the environment, at most, there is one. */
    must(fuzz_matches("^env:", d->auth_text) || strcmp(d->auth_token, d->auth_text) == 0);
    must(fuzz_matches("^env:", d->password_text) || strcmp(d->password, d->password_text) == 0);
    why[0] = '\0';
}

/* With other secrets of the same form the same is said. */
static void check_silent(const char *config, bool accepted, const char *said,
                         const char *reveal_said)
{
    json_t *other = json_loads(config, JSON_REJECT_DUPLICATES, NULL);
    struct destination d;
    char why[WHY] = "", revealed[WHY] = "", *text;

    if (other == NULL)
        return;
    rotate_secrets(other);
    text = fuzz_json_text(other);
    must(destination_parse("TWILIO_MMS", text, &d, why, sizeof why) == accepted);
    if (accepted) {
        check_reveal(&d, revealed, sizeof revealed);
        must(strcmp(revealed, reveal_said) == 0);
    }
    must(strcmp(accepted ? d.warning : why, said) == 0);
    destination_release(&d);
    free(text);
    json_decref(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct destination d;
    struct fuzz_input input;
    const char *config;
    char why[WHY] = "", revealed[WHY] = "";
    bool accepted;

    fuzz_split(data, size, &input);
    config = fuzz_text(&input, 0);
    if (input.count > 1) {
        must(!destination_parse(fuzz_text(&input, 1), config, &d, why, sizeof why) ||
             strcmp(fuzz_text(&input, 1), "TWILIO_MMS") == 0);
        /* A row's type is text of PostgreSQL's. */
        must(!fuzz_is_utf8(fuzz_text(&input, 1), strlen(fuzz_text(&input, 1))) || d.json != NULL ||
             fuzz_is_line(why, sizeof why));
        destination_release(&d);
    }
    accepted = destination_parse("TWILIO_MMS", config, &d, why, sizeof why);
    if (accepted) {
        check_accepted(&d);
        check_reveal(&d, revealed, sizeof revealed);
    } else {
        must(fuzz_is_line(why, sizeof why));
    }
    check_silent(config, accepted, accepted ? d.warning : why, revealed);
    destination_release(&d);
    fuzz_release(&input);
    return 0;
}
