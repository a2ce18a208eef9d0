/*
 * Events become messages, and messages requests: within Twilio's bounds, the request says what the
 * message is, and its evidence has no secret.
 */
#include "worker/render.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/e164.h"
#include "common/form.h"
#include "common/mem.h"
#include "common/url.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "worker/twilio.h"

#define TOKEN  "cAnArY0000000000000000000ToKeN"
#define SECRET "cAnArY00000000000000000SeCrEt/+"

/* The config with credentials of ours, so that more inputs get further. */
static char *with_auth(const struct fuzz_input *input)
{
    json_t *config = fuzz_json(input, 0);
    char *text;

    if (json_is_object(config)) {
        json_t *auth = json_pack("{s:s,s:s}", "account_sid", "AC0123456789abcdef0123456789abcdef",
                                 "auth_token", TOKEN);

        if (json_object_get(config, "key") != NULL) {
            json_object_del(config, "key");
            json_object_set_new(auth, "api_key_sid",
                                json_string("SK0123456789abcdef0123456789abcdef"));
            json_object_set_new(auth, "api_key_secret", json_string(SECRET));
        }
        json_object_set_new(config, "auth", auth);
    }
    text = config != NULL ? fuzz_json_text(config) : mem_strdup("null");
    json_decref(config);
    return text;
}

static void check_message(const struct message *m)
{
    char why[128];

    must(e164_valid(m->to));
    must(m->body[0] != '\0' && fuzz_is_utf8(m->body, strlen(m->body)));
    must(utf8_length(m->body) <= RENDER_BODY_MAX);
    must(m->media_count >= 1 && m->media_count <= RENDER_MEDIA_MAX);
    for (int i = 0; i < m->media_count; i++)
        must(strlen(m->media_urls[i]) <= 2048 && url_public(m->media_urls[i], why, sizeof why));
}

/* The parameters of this name, one after the other, are these. */
static void check_fields(const struct form *form, const char *name, char *const *values, int count)
{
    int found = 0;

    for (size_t i = 0; i < form->count; i++) {
        if (strcmp(form->pairs[i].name, name) != 0)
            continue;
        must(found < count && strcmp(form->pairs[i].value, values[found]) == 0);
        found++;
    }
    must(found == count);
}

/* Neither the secret nor the header that is made of it. */
static void check_silent(const struct twilio_request *r, const char *text)
{
    char *pair = mem_printf("%s:%s", r->user, r->password);
    char *basic = mem_zalloc(2 * strlen(pair) + 1);

    must(EVP_EncodeBlock((unsigned char *)basic, (unsigned char *)pair, (int)strlen(pair)) > 0);
    must(strstr(text, "cAnArY") == NULL && strstr(text, basic) == NULL);
    free(pair);
    free(basic);
}

/* The callback's query may be a key: its values aren't shown. */
static bool is_shown_as(const char *shown, const struct form_pair *pair)
{
    size_t length = strcspn(pair->value, "?");

    if (strcmp(pair->name, "StatusCallback") != 0 || pair->value[length] == '\0')
        return strcmp(shown, pair->value) == 0;
    return strncmp(shown, pair->value, length + 1) == 0;
}

/* Evidence is what lookups compare with: it has what the form has, and nothing else. */
static void check_evidence(const json_t *evidence, const struct form *form)
{
    const json_t *parameters = json_object_get(evidence, "parameters");
    const json_t *media = json_object_get(parameters, "MediaUrl");
    size_t urls = 0;

    for (size_t i = 0; i < form->count; i++) {
        const struct form_pair *pair = &form->pairs[i];
        const json_t *value = strcmp(pair->name, "MediaUrl") == 0
                                  ? json_array_get(media, urls++)
                                  : json_object_get(parameters, pair->name);

        must(json_is_string(value) && is_shown_as(json_string_value(value), pair));
    }
    must(json_array_size(media) == urls);
    must(json_object_size(parameters) == form->count - urls + (media != NULL));
}

static void check_request(const struct destination *d, const struct message *m)
{
    struct twilio_request r;
    struct form form;
    json_t *evidence;

    twilio_request_build("https://api.twilio.com", d, m, "https://example.com/cb?attempt=1.1.YQ",
                         &r);
    must(form_parse(r.form, r.form_length, 100, &form));
    check_fields(&form, "To", (char *const[]){m->to}, 1);
    check_fields(&form, "Body", (char *const[]){m->body}, 1);
    check_fields(&form, "MediaUrl", m->media_urls, m->media_count);
    must(strlen(r.form) == r.form_length && fuzz_is_line(r.form, r.form_length + 1));
    evidence = json_loads(r.evidence, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    must(evidence != NULL);
    if (json_is_object(evidence))
        check_evidence(evidence, &form);
    check_silent(&r, r.evidence);
    check_silent(&r, r.form);
    check_silent(&r, r.url);
    json_decref(evidence);
    form_release(&form);
    twilio_request_release(&r);
}

/* The same as an SMS: the text's beginning, then whole links, in their order. */
static void check_sms(const struct destination *d, struct message *m)
{
    char *body = mem_strdup(m->body);
    char *urls[RENDER_MEDIA_MAX];
    int count = m->media_count;
    size_t kept = utf8_prefix(body, RENDER_SMS_TEXT_MIN);
    const char *rest;

    for (int i = 0; i < count; i++)
        urls[i] = mem_strdup(m->media_urls[i]);
    message_to_sms(m);
    must(m->sms && m->media_count == 0);
    must(fuzz_is_utf8(m->body, strlen(m->body)) && utf8_length(m->body) <= RENDER_BODY_MAX);
    must(strncmp(m->body, body, kept) == 0);
    /* Behind the text there is nothing but links, each whole. */
    rest = m->body + strlen(m->body);
    for (int i = count - 1; i >= 0; i--) {
        size_t length = strlen(urls[i]);

        if ((size_t)(rest - m->body) > length && strncmp(rest - length, urls[i], length) == 0 &&
            rest[-(ptrdiff_t)length - 1] == '\n')
            rest -= length + 1;
    }
    must(strncmp(m->body, body, (size_t)(rest - m->body)) == 0 ||
         strncmp(rest - strlen("\u2026"), "\u2026", strlen("\u2026")) == 0);
    check_request(d, m);
    for (int i = 0; i < count; i++)
        free(urls[i]);
    free(body);
}

static void check_rendering(const struct destination *d, const json_t *event)
{
    const char *reason = NULL;
    struct message message;
    char why[256] = "";

    if (render_message(d, event, &message, &reason, why, sizeof why)) {
        check_message(&message);
        check_request(d, &message);
        check_sms(d, &message);
    } else {
        must(fuzz_is_reason(reason));
        must(fuzz_is_line(why, sizeof why));
    }
    message_release(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct destination destination;
    struct fuzz_input input;
    char why[640] = "", *config;
    json_t *event;

    if (memmem(data, size, "cAnArY", 6) != NULL)
        return -1;
    fuzz_split(data, size, &input);
    config = with_auth(&input);
    event = fuzz_json(&input, 1);
    if (destination_parse("TWILIO_MMS", config, &destination, why, sizeof why) && event != NULL) {
        must(destination_reveal(&destination, NULL, why, sizeof why));
        check_rendering(&destination, event);
    }
    destination_release(&destination);
    json_decref(event);
    free(config);
    fuzz_release(&input);
    return 0;
}
