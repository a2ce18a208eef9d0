#include "check.h"

#include "rows.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/pg_value.h"
#include "worker/inquiry.h"

#define S       CLOCK_SECOND
#define NOW     (INT64_C(1795333709) * S)
#define BASE    "https://api.twilio.com"
#define ACCOUNT "AC0123456789abcdef0123456789abcdef"
#define TOKEN   "hush-token"
#define URL     BASE "/2010-04-01/Accounts/" ACCOUNT "/Messages.json"

/* ---- a row of reconcile.sql ---- */

struct row {
    const char *request; /* the evidence's; NULL: the worker was lost */
    const char *event, *config;
    bool changed; /* the destination, since */
    bool as_sms;
    const char *told_sid;
};

#define COLUMNS 28

static PGresult *make_rows(const struct row *row)
{
    PGresult *rows = rows_new(COLUMNS);

    for (int i = 0; i < COLUMNS; i++)
        put_text(rows, i, NULL);
    put_text(rows, 0, "des_1");
    put_int8(rows, 1, 7);
    put_text(rows, 2, "evt_1");
    put_int4(rows, 6, 1);
    put_int8(rows, 10, pg_time_to_wire(NOW)); /* slot */
    if (row->request != NULL)
        put_int8(rows, 11, pg_time_to_wire(NOW)); /* start */
    put_int8(rows, 12, pg_time_to_wire(NOW + 2 * S));
    put_text(rows, 15, "TIMEOUT");
    put_text(rows, 17, row->request);
    put_text(rows, 18, row->event);
    put_int4(rows, 20, row->changed ? 0 : 1);
    put_text(rows, 21, "TWILIO_MMS");
    put_text(rows, 22, row->config);
    put_int4(rows, 23, 1);
    put_int4(rows, 24, 0);
    put_text(rows, 26, row->told_sid);
    put_int4(rows, 27, row->as_sms);
    return rows;
}

static struct inquiry *inquire(const struct row *row)
{
    static const struct inquiry_options options = {.twilio_base_url = BASE, .exchange_max = 35 * S};
    PGresult *rows = make_rows(row);
    struct inquiry *inquiry = inquiry_from_row(rows, 0, &options);

    PQclear(rows);
    return inquiry;
}

#define CONFIG(options)                                                                       \
    "{\"from\":\"+16824246644\",\"to\":\"+37120000001\",\"body_template\":\"Hi {{name}}\","   \
    "\"media_urls\":[\"https://a.example/1\"],\"messaging_service_sid\":\"MG0123456789abcdef" \
    "0123456789abcdef\",\"auth\":{\"account_sid\":\"" ACCOUNT "\",\"auth_token\":\"" TOKEN    \
    "\"}" options "}"
#define REQUEST(parameters)                                                             \
    "{\"method\":\"POST\",\"url\":\"" URL "\",\"parameters\":{\"To\":\"+37120000001\"," \
    "\"From\":\"+16824246644\",\"Body\":\"Hi Ann\"" parameters "}}"
#define MEDIA     ",\"MediaUrl\":[\"https://a.example/1\"]"
#define EVENT     "{\"name\":\"Ann\"}"
#define OBFUSCATE "the destination obfuscates recipients' numbers"

/* ---- what was asked for ---- */

static void the_evidence_says_what_was_asked_for(void **state)
{
    static const struct {
        const char *request;
        const char *why, *media;
        bool shortened, discarded;
    } cases[] = {
        {REQUEST(MEDIA), NULL, "[\"https://a.example/1\"]", false, false},
        {REQUEST(MEDIA ",\"ShortenUrls\":\"true\""), NULL, "[\"https://a.example/1\"]", true,
         false},
        {REQUEST(MEDIA ",\"ShortenUrls\":\"false\""), NULL, "[\"https://a.example/1\"]", false,
         false},
        {REQUEST(MEDIA ",\"ContentRetention\":\"discard\""), NULL, "[\"https://a.example/1\"]",
         false, true},
        {REQUEST(MEDIA ",\"ContentRetention\":\"retain\""), NULL, "[\"https://a.example/1\"]",
         false, false},
        {REQUEST(MEDIA ",\"AddressRetention\":\"retain\""), NULL, "[\"https://a.example/1\"]",
         false, false},
        {REQUEST(MEDIA ",\"AddressRetention\":\"obfuscate\""), OBFUSCATE,
         "[\"https://a.example/1\"]", false, false},
        {REQUEST(",\"MediaUrl\":[]"), NULL, "[]", false, false},
        {REQUEST(""), NULL, "[]", false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        /* What the row has now was not what was sent. */
        const struct row row = {
            .request = cases[i].request,
            .config = CONFIG(",\"shorten_urls\":false,\"address_retention\":\"retain\""),
            .changed = true,
        };
        struct inquiry *inquiry = inquire(&row);

        check_contains(cases[i].request, inquiry->why, cases[i].why != NULL ? cases[i].why : "");
        check_int(cases[i].request, inquiry->why[0] != '\0', cases[i].why != NULL);
        check_string(cases[i].request, inquiry->body, "Hi Ann");
        check_string(cases[i].request, inquiry->media, cases[i].media);
        check_int(cases[i].request, inquiry->links_shortened, cases[i].shortened);
        check_int(cases[i].request, inquiry->body_discarded, cases[i].discarded);
        inquiry_free(inquiry);
    }
}

static void a_lost_worker_was_asked_by_its_destination(void **state)
{
    static const struct {
        const char *config, *why;
        bool shortened, discarded;
    } cases[] = {
        {CONFIG(""), NULL, false, false},
        {CONFIG(",\"shorten_urls\":true"), NULL, true, false},
        {CONFIG(",\"shorten_urls\":false"), NULL, false, false},
        {CONFIG(",\"content_retention\":\"discard\""), NULL, false, true},
        {CONFIG(",\"address_retention\":\"retain\""), NULL, false, false},
        {CONFIG(",\"address_retention\":\"obfuscate\""), OBFUSCATE, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct row row = {.event = EVENT, .config = cases[i].config};
        struct inquiry *inquiry = inquire(&row);

        check_contains(cases[i].config, inquiry->why, cases[i].why != NULL ? cases[i].why : "");
        check_int(cases[i].config, inquiry->why[0] != '\0', cases[i].why != NULL);
        check_false(cases[i].config, inquiry->never_sent);
        check_string(cases[i].config, inquiry->body, "Hi Ann");
        check_int(cases[i].config, inquiry->links_shortened, cases[i].shortened);
        check_int(cases[i].config, inquiry->body_discarded, cases[i].discarded);
        inquiry_free(inquiry);
    }
}

static void what_was_asked_for_is_sought(void **state)
{
    static const struct row row = {
        .request = REQUEST(MEDIA ",\"ShortenUrls\":\"true\",\"ContentRetention\":\"discard\""),
        .config = CONFIG(""),
    };
    struct twilio_clock clock = {.now = NOW + 60 * S};
    struct inquiry *inquiry = inquire(&row);
    struct sought sought = inquiry_sought(inquiry, 60 * S, 36 * S, &clock);

    (void)state;
    assert_true(sought.links_shortened);
    assert_true(sought.body_discarded);
    assert_int_equal(sought.created_until, NOW + (2 + 60 + 5) * S);
    inquiry_free(inquiry);
}

/* The window ends 67 s after NOW; who sent last in it is looked up within two delays behind that.
 */
static void others_are_known_when_they_were_looked_up(void **state)
{
    static const struct row row = {.request = REQUEST(MEDIA), .config = CONFIG("")};
    static const struct {
        int64_t now; /* seconds after NOW */
        bool known;
    } cases[] = {{60, false}, {67, false}, {222, false}, {223, true}, {1000, true}};
    struct inquiry *inquiry = inquire(&row);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct twilio_clock clock = {.now = NOW + cases[i].now * S};
        char name[32];

        snprintf(name, sizeof name, "after %d s", (int)cases[i].now);
        check_int(name, inquiry_sought(inquiry, 60 * S, 36 * S, &clock).others_known,
                  cases[i].known);
    }
    inquiry_free(inquiry);
}

static void what_cannot_be_read_is_not_asked_about(void **state)
{
    static const char *const requests[] = {
        "null",
        "{}",
        "{\"url\":\"" URL "\"}",
        "{\"url\":\"" URL "\",\"parameters\":{\"To\":\"+37120000001\"}}",
        "{\"url\":\"" URL "\",\"parameters\":{\"Body\":\"Hi\"}}",
        "{\"url\":\"https://other.example/\",\"parameters\":{\"To\":\"+1\",\"Body\":\"Hi\"}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(requests); i++) {
        const struct row row = {.request = requests[i], .config = CONFIG("")};
        struct inquiry *inquiry = inquire(&row);

        check_contains(requests[i], inquiry->why, "can't be read");
        check_string(requests[i], inquiry->body, NULL);
        inquiry_free(inquiry);
    }
}

static void a_lost_workers_sms_is_rendered_as_one(void **state)
{
    const struct row row = {
        .event = EVENT, .config = CONFIG(",\"sms_fallback\":true"), .as_sms = true};
    struct inquiry *inquiry = inquire(&row);

    (void)state;
    check_string("body", inquiry->body, "Hi Ann\nhttps://a.example/1");
    check_string("media", inquiry->media, "[]");
    inquiry_free(inquiry);
}

static void a_callback_has_told_the_message(void **state)
{
    static const char sid[] = "MM0123456789abcdef0123456789abcdef";
    const struct row row = {.request = REQUEST(MEDIA), .config = CONFIG(""), .told_sid = sid};
    const struct row untold = {.request = REQUEST(MEDIA), .config = CONFIG("")};
    struct inquiry *inquiry = inquire(&row);

    (void)state;
    check_string("told", inquiry->told_sid, sid);
    inquiry_free(inquiry);
    inquiry = inquire(&untold);
    check_string("not told", inquiry->told_sid, NULL);
    inquiry_free(inquiry);
}

/* A config that can't be sent with was none then; secrets that aren't here may have been there. */
static void a_lost_worker_may_have_had_the_secrets(void **state)
{
    static const char env[] =
        "{\"from\":\"+16824246644\",\"to\":\"+37120000001\","
        "\"body_template\":\"Hi\",\"media_urls\":[\"https://a.example/1\"],"
        "\"auth\":{\"account_sid\":\"" ACCOUNT "\",\"auth_token\":\"env:UNIT_LOST\"}}";
    static const struct {
        const char *name, *config, *token, *why;
        bool never_sent;
    } cases[] = {
        {"no config", "{}", NULL, "the destination's config is not valid: config.from", true},
        {"too large to be read", NULL, NULL,
         "the destination's config is not valid: config: too large", true},
        {"not here", env, NULL,
         "the destination's secrets can't be had: config.auth.auth_token: env:", false},
        {"here", env, TOKEN, NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct row row = {.event = EVENT, .config = cases[i].config};
        struct inquiry *inquiry;

        unsetenv("UNIT_LOST");
        if (cases[i].token != NULL)
            setenv("UNIT_LOST", cases[i].token, 1);
        inquiry = inquire(&row);
        check_int(cases[i].name, inquiry->never_sent, cases[i].never_sent);
        check_contains(cases[i].name, inquiry->why, cases[i].why != NULL ? cases[i].why : "");
        check_int(cases[i].name, inquiry->why[0] != '\0', cases[i].why != NULL);
        check_string(cases[i].name, inquiry->password, cases[i].token);
        inquiry_free(inquiry);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_evidence_says_what_was_asked_for),
        cmocka_unit_test(a_lost_worker_was_asked_by_its_destination),
        cmocka_unit_test(a_lost_worker_may_have_had_the_secrets),
        cmocka_unit_test(what_was_asked_for_is_sought),
        cmocka_unit_test(others_are_known_when_they_were_looked_up),
        cmocka_unit_test(what_cannot_be_read_is_not_asked_about),
        cmocka_unit_test(a_lost_workers_sms_is_rendered_as_one),
        cmocka_unit_test(a_callback_has_told_the_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
