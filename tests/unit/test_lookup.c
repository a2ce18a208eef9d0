#include "check.h"

#include <time.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "worker/limits.h"
#include "worker/lookup.h"

#define S   CLOCK_SECOND
#define NOW (INT64_C(1795333709) * S) /* Sun, 22 Nov 2026 07:48:29 GMT */

#define ACCOUNT  "AC0123456789abcdef0123456789abcdef"
#define LIST     "/2010-04-01/Accounts/" ACCOUNT "/Messages.json"
#define TO       "+37120000001"
#define FROM     "+16824246644"
#define OTHER    "+16824246645"
#define SERVICE  "MG0123456789abcdef0123456789abcdef"
#define SERVICE2 "MG00000000000000000000000000000002"
#define TRIAL    "Sent from your Twilio trial account - "
#define OWL      "[\"https://example.com/owl.png\"]"
#define CAT      "[\"https://example.com/cat.png\"]"

/* ---- asking ---- */

static void the_path_is_escaped(void **state)
{
    static const struct {
        const char *to, *expected;
    } cases[] = {
        {"+37120000001", LIST "?To=%2B37120000001&PageSize=200"},
        {"12345", LIST "?To=12345&PageSize=200"},
        {"FastHook", LIST "?To=FastHook&PageSize=200"},
        {"A b+c&d", LIST "?To=A%20b%2Bc%26d&PageSize=200"},
        {"a=b#c/d?e", LIST "?To=a%3Db%23c%2Fd%3Fe&PageSize=200"},
        {"", LIST "?To=&PageSize=200"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *path = lookup_path(ACCOUNT, cases[i].to);

        check_string(cases[i].to, path, cases[i].expected);
        free(path);
    }
}

/* ---- pages ---- */

static bool add_page(struct listing *listing, const char *json, char **ret_next)
{
    return listing_add_page(listing, ACCOUNT, TO, json, strlen(json), ret_next);
}

/* As Twilio has it: one through a messaging service that has no sender yet, one that was sent. */
static const char twilio_page[] =
    "{\"end\": 1, \"first_page_uri\": \"" LIST "?To=%2B37120000001&PageSize=200&Page=0\","
    " \"next_page_uri\": \"" LIST "?To=%2B37120000001&PageSize=200&Page=1&PageToken=PAMM02\","
    " \"page\": 0, \"page_size\": 200, \"previous_page_uri\": null, \"start\": 0,"
    " \"uri\": \"" LIST "?To=%2B37120000001&PageSize=200\","
    " \"messages\": ["
    "{\"account_sid\": \"" ACCOUNT "\", \"api_version\": \"2010-04-01\", \"body\": \"Caf\\u00e9 "
    "\\ud83d\\udc4d\","
    " \"date_created\": \"Sun, 22 Nov 2026 07:48:29 +0000\","
    " \"date_sent\": null, \"date_updated\": \"Sun, 22 Nov 2026 07:48:29 +0000\","
    " \"direction\": \"outbound-api\", \"error_code\": null, \"error_message\": null,"
    " \"from\": null, \"messaging_service_sid\": \"" SERVICE "\", \"num_media\": \"0\","
    " \"num_segments\": \"0\", \"price\": null, \"price_unit\": null,"
    " \"sid\": \"MM00000000000000000000000000000001\", \"status\": \"accepted\","
    " \"subresource_uris\": {\"media\": \"/2010-04-01/Accounts/" ACCOUNT
    "/Messages/MM00000000000000000000000000000001/Media.json\"},"
    " \"to\": \"+37120000001\", \"uri\": \"/2010-04-01/Accounts/" ACCOUNT
    "/Messages/MM00000000000000000000000000000001.json\"},"
    "{\"account_sid\": \"" ACCOUNT "\", \"api_version\": \"2010-04-01\", \"body\": \"Hello\","
    " \"date_created\": \"Sun, 22 Nov 2026 07:48:20 +0000\","
    " \"date_sent\": \"Sun, 22 Nov 2026 07:48:22 +0000\","
    " \"date_updated\": \"Sun, 22 Nov 2026 07:48:25 +0000\","
    " \"direction\": \"outbound-api\", \"error_code\": 30007, \"error_message\": null,"
    " \"from\": \"+16824246644\", \"messaging_service_sid\": null, \"num_media\": \"1\","
    " \"num_segments\": \"1\", \"price\": \"-0.02000\", \"price_unit\": \"USD\","
    " \"sid\": \"SMabcdefABCDEF00000000000000000002\", \"status\": \"undelivered\","
    " \"to\": \"+37120000001\"}]}";

/* What is kept is counted; a page of more values than messages have is not even parsed. */
static void pages_are_bounded(void **state)
{
    char *values = check_repeat("{},", LIMIT_PAGE_VALUES - 5);
    size_t size = strlen(values) + 100;
    char *page = malloc(size);
    struct listing listing = {.count = 0};
    char *next = NULL;

    (void)state;
    assert_true(add_page(&listing, twilio_page, &next));
    check_true("kept", listing.bytes > 2 * sizeof *listing.messages);
    check_true("no more", listing.bytes < 2 * sizeof *listing.messages + 100);
    free(next);
    for (size_t more = 0; more <= 1; more++) {
        snprintf(page, size, "{\"x\":[%s0%s],\"messages\":[],\"next_page_uri\":null}", values,
                 more > 0 ? ",0" : "");
        check_int("page", add_page(&listing, page, &next), more == 0);
    }
    listing_release(&listing);
    free(page);
    free(values);
}

static void reads_a_page_of_twilio(void **state)
{
    struct listing listing = {.count = 0};
    const struct listed *first, *second;
    char *next = NULL;

    (void)state;
    assert_true(add_page(&listing, twilio_page, &next));
    assert_string_equal(next, LIST "?To=%2B37120000001&PageSize=200&Page=1&PageToken=PAMM02");
    assert_int_equal(listing.count, 2);
    first = &listing.messages[0];
    check_string("first", first->sid, "MM00000000000000000000000000000001");
    check_string("first", first->status, "accepted");
    check_int("first", first->created_at, NOW);
    check_string("first", first->from, NULL);
    check_string("first", first->messaging_service_sid, SERVICE);
    check_string("first", first->body, "Caf\u00e9 \U0001f44d");
    check_false("first", first->taken);
    second = &listing.messages[1];
    check_string("second", second->sid, "SMabcdefABCDEF00000000000000000002");
    check_string("second", second->status, "undelivered");
    check_int("second", second->created_at, NOW - 9 * S);
    check_string("second", second->from, FROM);
    check_string("second", second->messaging_service_sid, NULL);
    check_string("second", second->body, "Hello");
    check_int("page", listing.sent_last, NOW - 7 * S);
    free(next);
    listing_release(&listing);
    assert_int_equal(listing.count, 0);
    assert_null(listing.messages);
}

/* A page of one message; each text is put in as it is. */
static char *page_of(const char *sid, const char *to, const char *created, const char *more,
                     const char *next)
{
    struct buf json;

    buf_init(&json, (size_t)64 << 10);
    buf_printf(&json,
               "{\"messages\": [{\"sid\": %s, \"to\": %s, \"date_created\": %s, \"date_sent\": "
               "null, \"from\": null, \"body\": \"x\"%s}], \"next_page_uri\": %s}",
               sid, to, created, more, next);
    return buf_detach(&json);
}

#define SID1    "\"MM00000000000000000000000000000001\""
#define SID2    "\"MM00000000000000000000000000000002\""
#define TO_JSON "\"" TO "\""
#define CREATED "\"Sun, 22 Nov 2026 07:48:29 +0000\""

static void pages_add_up(void **state)
{
    struct listing listing = {.count = 0};
    char *first = page_of(SID1, TO_JSON, CREATED, "", "\"" LIST "?Page=1\"");
    char *second = page_of(SID2, TO_JSON, CREATED, "", "null");
    char *next;

    (void)state;
    assert_true(add_page(&listing, first, &next));
    assert_string_equal(next, LIST "?Page=1");
    free(next);
    assert_true(add_page(&listing, second, &next));
    assert_null(next);
    assert_int_equal(listing.count, 2);
    assert_string_equal(listing.messages[0].sid, "MM00000000000000000000000000000001");
    assert_string_equal(listing.messages[1].sid, "MM00000000000000000000000000000002");
    assert_true(add_page(&listing, "{\"messages\": [], \"next_page_uri\": null}", &next));
    assert_null(next);
    assert_int_equal(listing.count, 2);
    listing_release(&listing);
    free(first);
    free(second);
}

static void an_empty_list_is_a_list(void **state)
{
    struct listing listing = {.count = 0};
    char *next = (char *)"";

    (void)state;
    assert_true(add_page(&listing, "{\"messages\": [], \"next_page_uri\": null}", &next));
    assert_null(next);
    assert_int_equal(listing.count, 0);
    listing_release(&listing);
}

/* The credentials go with the request for the next page. */
static void the_next_page_is_of_the_same_list(void **state)
{
    static const struct {
        const char *next;
        bool good;
    } cases[] = {
        {LIST "?Page=1&PageToken=PAMM02", true},
        {LIST "?", true},
        {"", false},
        {LIST, false},
        {"/2010-04-01/Accounts/ACffffffffffffffffffffffffffffffff/Messages.json?Page=1", false},
        {"/2010-04-01/Accounts/" ACCOUNT "/Calls.json?Page=1", false},
        {"/2010-04-01/Accounts/" ACCOUNT "/Messages.json.evil?Page=1", false},
        {"/2010-04-01/Accounts/" ACCOUNT "/Messages/../Keys.json?Page=1", false},
        {"https://api.twilio.com" LIST "?Page=1", false},
        {"https://evil.example" LIST "?Page=1", false},
        {"//evil.example" LIST "?Page=1", false},
        {"@evil.example" LIST "?Page=1", false},
        {".evil.example" LIST "?Page=1", false},
        {" " LIST "?Page=1", false},
        {"/2008-08-01/Accounts/" ACCOUNT "/Messages.json?Page=1", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = {.count = 0};
        char quoted[200], *next, *page;

        snprintf(quoted, sizeof quoted, "\"%s\"", cases[i].next);
        page = page_of(SID1, TO_JSON, CREATED, "", quoted);
        check_int(cases[i].next, add_page(&listing, page, &next), cases[i].good);
        check_string(cases[i].next, next, cases[i].good ? cases[i].next : NULL);
        free(next);
        free(page);
        listing_release(&listing);
    }
}

static void what_cannot_be_read_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "null",
        "[]",
        "7",
        "{}",
        "<html><head><title>502 Bad Gateway</title></head></html>",
        "<TwilioResponse><Messages page=\"0\"></Messages></TwilioResponse>",
        "{\"code\": 20003, \"message\": \"Authenticate\", \"status\": 401}",
        "{\"next_page_uri\": null}",
        "{\"messages\": null, \"next_page_uri\": null}",
        "{\"messages\": {}, \"next_page_uri\": null}",
        "{\"messages\": \"none\", \"next_page_uri\": null}",
        "{\"messages\": [null], \"next_page_uri\": null}",
        "{\"messages\": [\"MM00000000000000000000000000000001\"], \"next_page_uri\": null}",
        "{\"messages\": [{}], \"next_page_uri\": null}",
        "{\"messages\": []}",
        "{\"messages\": [], \"next_page_uri\": 7}",
        "{\"messages\": [], \"next_page_uri\": false}",
        "{\"messages\": [], \"next_page_uri\": {}}",
        "{\"messages\": [], \"next_page\": null}",
        "{\"messages\": [], \"next_page_uri\": null",
        "{\"messages\": [], \"next_page_uri\": null} x",
        "{\"messages\": [], \"messages\": []}",
        "\xff\xfe",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = {.count = 0};
        char *next = (char *)"";

        check_false(cases[i], add_page(&listing, cases[i], &next));
        check_string(cases[i], next, NULL);
        listing_release(&listing);
    }
}

/* Nothing can be said about absence if one of the messages can't be judged. */
static void a_message_that_cannot_be_judged_spoils_the_page(void **state)
{
    static const struct {
        const char *name, *sid, *to, *created;
        bool good;
    } cases[] = {
        {"good", SID1, TO_JSON, CREATED, true},
        {"another zone", SID1, TO_JSON, "\"Sun, 22 Nov 2026 09:48:29 +0200\"", true},
        {"no sid", "null", TO_JSON, CREATED, false},
        {"sid a number", "7", TO_JSON, CREATED, false},
        {"sid of a call", "\"CA00000000000000000000000000000001\"", TO_JSON, CREATED, false},
        {"sid too short", "\"MM01\"", TO_JSON, CREATED, false},
        {"no to", SID1, "null", CREATED, false},
        {"to a number", SID1, "37120000001", CREATED, false},
        {"to empty", SID1, "\"\"", CREATED, false},
        {"to another phone", SID1, "\"+37120000002\"", CREATED, false},
        {"to without a plus", SID1, "\"37120000001\"", CREATED, false},
        {"to in national spelling", SID1, "\"20000001\"", CREATED, false},
        {"to with blanks", SID1, "\"+371 20000001\"", CREATED, false},
        {"to of a channel", SID1, "\"mms:+37120000001\"", CREATED, false},
        {"no date", SID1, TO_JSON, "null", false},
        {"date empty", SID1, TO_JSON, "\"\"", false},
        {"date a word", SID1, TO_JSON, "\"yesterday\"", false},
        {"date a number", SID1, TO_JSON, "1795333709", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = {.count = 0};
        char *page = page_of(cases[i].sid, cases[i].to, cases[i].created, "", "null");
        char *next;

        check_int(cases[i].name, add_page(&listing, page, &next), cases[i].good);
        check_string(cases[i].name, next, NULL);
        if (cases[i].good)
            check_int(cases[i].name, listing.messages[0].created_at, NOW);
        free(page);
        listing_release(&listing);
    }
}

static void a_good_message_does_not_hide_a_bad_one(void **state)
{
    static const char good[] =
        "{\"sid\": " SID1 ", \"to\": " TO_JSON ", \"date_created\": " CREATED "}";
    static const char bad[] = "{\"sid\": " SID2 ", \"to\": " TO_JSON "}";

    (void)state;
    for (int order = 0; order < 2; order++) {
        struct listing listing = {.count = 0};
        char page[400], *next;

        snprintf(page, sizeof page,
                 "{\"messages\": [%s, %s], \"next_page_uri\": \"" LIST "?Page=1\"}",
                 order == 0 ? good : bad, order == 0 ? bad : good);
        assert_false(add_page(&listing, page, &next));
        assert_null(next);
        listing_release(&listing);
    }
}

static void odd_statuses_are_left_out(void **state)
{
    static const struct {
        const char *json, *expected;
    } cases[] = {
        {"\"queued\"", "queued"},
        {"\"a new one\"", "a new one"},
        {"\"0123456789012345678901234567890\"", "0123456789012345678901234567890"},
        {"\"01234567890123456789012345678901\"", ""},
        {"\"que\\nued\"", ""},
        {"null", ""},
        {"7", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = {.count = 0};
        char more[80], *page, *next;

        snprintf(more, sizeof more, ", \"status\": %s", cases[i].json);
        page = page_of(SID1, TO_JSON, CREATED, more, "null");
        check_true(cases[i].json, add_page(&listing, page, &next));
        check_string(cases[i].json, listing.messages[0].status, cases[i].expected);
        free(page);
        listing_release(&listing);
    }
}

/* A number of the account itself has what it received in its list as well. */
static void what_was_received_is_skipped(void **state)
{
    static const struct {
        const char *name, *sid, *to, *created, *more;
        int kept; /* -1: the page can't be relied on */
    } cases[] = {
        {"sent", SID1, TO_JSON, CREATED, ", \"direction\": \"outbound-api\"", 1},
        {"a reply", SID1, TO_JSON, CREATED, ", \"direction\": \"outbound-reply\"", 1},
        {"from a call", SID1, TO_JSON, CREATED, ", \"direction\": \"outbound-call\"", 1},
        {"of no direction", SID1, TO_JSON, CREATED, "", 1},
        {"of an odd direction", SID1, TO_JSON, CREATED, ", \"direction\": 7", 1},
        {"received", SID1, TO_JSON, CREATED, ", \"direction\": \"inbound\"", 0},
        {"received, odd sid", "\"MM01\"", TO_JSON, CREATED, ", \"direction\": \"inbound\"", 0},
        {"received, no date", SID1, TO_JSON, "null", ", \"direction\": \"inbound\"", 0},
        {"received, other to", SID1, "null", CREATED, ", \"direction\": \"inbound\"", 0},
        {"sent, no date", SID1, TO_JSON, "null", ", \"direction\": \"outbound-api\"", -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = {.count = 0};
        char *page = page_of(cases[i].sid, cases[i].to, cases[i].created, cases[i].more, "null");
        char *next;

        check_int(cases[i].name, add_page(&listing, page, &next), cases[i].kept >= 0);
        check_int(cases[i].name, listing.count, cases[i].kept > 0 ? cases[i].kept : 0);
        free(page);
        listing_release(&listing);
    }
}

/* `count` messages with numbers from `first` down, as lists have them. */
static char *page_of_many(int first, int count)
{
    struct buf json;

    buf_init(&json, (size_t)1 << 20);
    buf_add_string(&json, "{\"messages\": [");
    for (int n = first; n > first - count; n--)
        buf_printf(&json,
                   "%s{\"sid\": \"MM%032d\", \"to\": " TO_JSON ", \"date_created\": " CREATED "}",
                   n < first ? ", " : "", n);
    buf_add_string(&json, "], \"next_page_uri\": null}");
    assert_false(json.overflow);
    return buf_detach(&json);
}

/* Messages that came while the pages were read have pushed others on to the next page. */
static void what_is_listed_twice_is_kept_once(void **state)
{
    static const struct {
        const char *name;
        int first[3], count[3]; /* of each page */
        int kept;
    } cases[] = {
        {"none twice", {9, 6, 3}, {3, 3, 3}, 9},
        {"the last one again", {9, 7, 5}, {3, 3, 3}, 7},
        {"a page again", {9, 9, 9}, {3, 3, 3}, 3},
        {"newer ones", {9, 12, 15}, {3, 3, 3}, 9},
        {"whole pages, moved by one", {600, 401, 202}, {200, 200, 200}, 598},
        {"a whole page, moved by nearly all", {600, 599, 0}, {200, 200, 0}, 201},
        {"a whole page again", {600, 600, 400}, {200, 200, 200}, 400},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = {.count = 0};

        for (int k = 0; k < 3; k++) {
            char *page = page_of_many(cases[i].first[k], cases[i].count[k]), *next;

            check_true(cases[i].name, add_page(&listing, page, &next));
            free(page);
        }
        check_int(cases[i].name, listing.count, cases[i].kept);
        for (size_t k = 0; k < listing.count; k++) {
            for (size_t m = 0; m < k; m++)
                check_true(cases[i].name,
                           strcmp(listing.messages[k].sid, listing.messages[m].sid) != 0);
        }
        listing_release(&listing);
    }
}

static void what_is_too_old_is_not_kept(void **state)
{
    static const struct {
        const char *name, *to;
        int64_t from; /* microseconds after the message was made */
        bool good, kept;
    } cases[] = {
        {"younger", TO_JSON, -S, true, true},
        {"just as old", TO_JSON, 0, true, true},
        {"just older", TO_JSON, 1, true, false},
        {"long before", TO_JSON, 86400 * S, true, false},
        {"old, and can't be judged", "null", 86400 * S, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = {.created_from = NOW + cases[i].from};
        char *page = page_of(SID1, cases[i].to, CREATED, "", "null");
        char *next;

        check_int(cases[i].name, add_page(&listing, page, &next), cases[i].good);
        check_int(cases[i].name, listing.count, cases[i].kept);
        free(page);
        listing_release(&listing);
    }
}

/* ---- how far the list is read ---- */

#define SENT_AT(text)                                                                              \
    "{\"sid\": " SID1 ", \"to\": " TO_JSON ", \"date_created\": " CREATED ", \"date_sent\": " text \
    "}"
#define RECEIVED_AT(text) "{\"direction\": \"inbound\", \"date_sent\": " text "}"
#define EARLY             "\"Sun, 22 Nov 2026 07:48:09 +0000\""
#define LATE              "\"Sun, 22 Nov 2026 07:48:19 +0000\""

static void the_last_one_of_a_page_says_how_far_it_goes(void **state)
{
    static const struct {
        const char *name, *messages;
        int64_t sent; /* seconds after NOW; 0: that isn't known */
    } cases[] = {
        {"one", SENT_AT(LATE), -10},
        {"the last", SENT_AT(LATE) ", " SENT_AT(EARLY), -20},
        {"the last, although it is younger", SENT_AT(EARLY) ", " SENT_AT(LATE), -10},
        {"the last, which was received", SENT_AT(LATE) ", " RECEIVED_AT(EARLY), -20},
        {"not sent yet", SENT_AT("null"), 0},
        {"the last is not sent yet", SENT_AT(LATE) ", " SENT_AT("null"), 0},
        {"the first is not sent yet", SENT_AT("null") ", " SENT_AT(EARLY), -20},
        {"no date", SENT_AT("\"\""), 0},
        {"none", "", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = {.sent_last = 7};
        char page[600], *next;

        snprintf(page, sizeof page, "{\"messages\": [%s], \"next_page_uri\": null}",
                 cases[i].messages);
        check_true(cases[i].name, add_page(&listing, page, &next));
        check_int(cases[i].name, listing.sent_last,
                  cases[i].sent != 0 ? NOW + cases[i].sent * S : 0);
        listing_release(&listing);
    }
}

/* A minute's slack between the time that sorts the list and the one that is looked for. */
static void goes_on_until_the_list_is_older_than_what_is_sought(void **state)
{
    static const struct {
        const char *name;
        int64_t sent, from; /* microseconds after NOW; `sent` NEVER: that isn't known */
        bool expected;
    } cases[] = {
#define NEVER (-NOW)
        {"sent after", 1, 0, true},
        {"sent when it was made", 0, 0, true},
        {"sent a little before", 0, 59 * S, true},
        {"at the bound", 0, 60 * S, true},
        {"just beyond", 0, 60 * S + 1, false},
        {"long before", 0, 86400 * S, false},
        {"not known", NEVER, 0, true},
        {"not known, long before", NEVER, 86400 * S, true},
#undef NEVER
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = {.sent_last = NOW + cases[i].sent,
                                  .created_from = NOW + cases[i].from};

        check_int(cases[i].name, listing_may_go_on(&listing), cases[i].expected);
    }
}

/* ---- matching ---- */

/* A message at Twilio. Tables have the newest first, as lists do. */
struct message {
    int n;      /* its number; 0 ends a table */
    int64_t at; /* when it was made: seconds after NOW */
    const char *from, *service, *body;
    bool taken;
};

#define MADE_BY(n, at, from, service, body) \
    {                                       \
        n, at, from, service, body, false   \
    }
#define MADE(n, at, body) MADE_BY(n, at, FROM, NULL, body)
#define TAKEN(n, at, body)            \
    {                                 \
        n, at, FROM, NULL, body, true \
    }

/* An attempt, and what is to be found. */
struct attempt {
    const char *from, *service, *body, *media; /* `media` NULL ends a table */
    int64_t begin, end;                        /* the window: seconds after NOW */
    int expected;                              /* a message's number, or: */
};

#define ABSENT    0
#define UNDECIDED (-1)

#define SENT_BY(from, service, body, media, begin, end, expected) \
    {                                                             \
        from, service, body, media, begin, end, expected          \
    }
#define SENT(body, media, begin, end, expected) \
    SENT_BY(FROM, NULL, body, media, begin, end, expected)

#define ROWS 4
struct match {
    const char *name;
    struct message messages[ROWS + 1];
    struct attempt attempts[ROWS + 1];
};

static void sid_of(int n, char sid[40])
{
    snprintf(sid, 40, "MM%032d", n);
}

static void add_date(struct buf *json, const char *name, int64_t at)
{
    time_t seconds = (time_t)(at / S);
    struct tm tm;
    char text[64];

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S +0000", &tm);
    json_add_text(json, name, text);
}

static void add_message(struct buf *json, const struct message *message)
{
    char sid[40];

    sid_of(message->n, sid);
    buf_add_string(json, json->data[json->length - 1] == '[' ? "{" : ",{");
    json_add_text(json, "sid", sid);
    add_date(json, "date_created", NOW + message->at * S);
    json_add_text(json, "date_sent", NULL);
    json_add_text(json, "to", TO);
    json_add_text(json, "from", message->from);
    json_add_text(json, "messaging_service_sid", message->service);
    json_add_text(json, "body", message->body);
    json_add_text(json, "status", "queued");
    json_add_text(json, "direction", "outbound-api");
    buf_add_char(json, '}');
}

static struct listing list(const struct message *messages, size_t count)
{
    struct listing listing = {.count = 0};
    struct buf json;
    char *next;

    buf_init(&json, (size_t)4 << 20);
    buf_add_string(&json, "{\"messages\":[");
    for (size_t i = 0; i < count; i++)
        add_message(&json, &messages[i]);
    buf_add_string(&json, "],\"next_page_uri\":null}");
    assert_false(json.overflow);
    assert_true(listing_add_page(&listing, ACCOUNT, TO, json.data, json.length, &next));
    buf_release(&json);
    for (size_t i = 0; i < count; i++) {
        char sid[40];

        sid_of(messages[i].n, sid);
        if (messages[i].taken)
            listing_take(&listing, sid);
    }
    return listing;
}

static struct sought seek(const struct attempt *attempt)
{
    return (struct sought){.to = TO,
                           .from = attempt->from,
                           .messaging_service_sid = attempt->service,
                           .body = attempt->body,
                           .media = attempt->media,
                           .created_from = NOW + attempt->begin * S,
                           .created_until = NOW + attempt->end * S,
                           .settled_by = INT64_MAX};
}

static int found_number(const struct sought *sought)
{
    if (sought->finding == SOUGHT_FOUND)
        return atoi(sought->message->sid + 2);
    return sought->finding == SOUGHT_ABSENT ? ABSENT : UNDECIDED;
}

static size_t count_messages(const struct match *match)
{
    size_t count = 0;

    while (match->messages[count].n != 0)
        count++;
    return count;
}

static size_t count_attempts(const struct match *match)
{
    size_t count = 0;

    while (match->attempts[count].media != NULL)
        count++;
    return count;
}

/* What was given to an attempt is taken, and nothing else. */
static void check_taken(const struct match *match, const struct listing *listing, size_t count)
{
    for (size_t i = 0; i < listing->count; i++) {
        bool taken = match->messages[i].taken;

        for (size_t k = 0; k < count; k++)
            taken = taken || match->attempts[k].expected == match->messages[i].n;
        check_int(match->name, listing->messages[i].taken, taken);
    }
}

/* `as`: what all the attempts have in common. */
static void run_as(const struct match *match, const struct sought *as)
{
    size_t count = count_attempts(match);
    struct listing listing = list(match->messages, count_messages(match));
    struct sought sought[ROWS];

    for (size_t i = 0; i < count; i++) {
        sought[i] = seek(&match->attempts[i]);
        sought[i].settled_by = as->settled_by;
        sought[i].links_shortened = as->links_shortened;
        sought[i].body_discarded = as->body_discarded;
        sought[i].others_known = as->others_known;
    }
    lookup_match(&listing, sought, count);
    for (size_t i = 0; i < count; i++) {
        check_int(match->name, found_number(&sought[i]), match->attempts[i].expected);
        check_int(match->name, sought[i].why[0] != '\0', sought[i].finding == SOUGHT_UNDECIDED);
        check_int(match->name, sought[i].message != NULL, sought[i].finding == SOUGHT_FOUND);
    }
    check_taken(match, &listing, count);
    listing_release(&listing);
}

static void run_settled(const struct match *match, int64_t settled_by)
{
    run_as(match, &(struct sought){.settled_by = settled_by});
}

static void run(const struct match *match)
{
    run_settled(match, INT64_MAX);
}

static void one_attempt_is_told_by_what_it_would_have_made(void **state)
{
    static const struct match cases[] = {
        {"found", {MADE(1, 10, "Hi")}, {SENT("Hi", OWL, 0, 20, 1)}},
        {"nothing there", {{0}}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"other body", {MADE(1, 10, "Ho")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"shorter body", {MADE(1, 10, "H")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"other case", {MADE(1, 10, "hi")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"before", {MADE(1, -1, "Hi")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"after", {MADE(1, 21, "Hi")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"among others",
         {MADE(4, 30, "Hi"), MADE_BY(3, 11, OTHER, NULL, "Hi"), MADE(2, 10, "Hi"),
          MADE(1, 9, "Ho")},
         {SENT("Hi", OWL, 0, 20, 2)}},
        {"taken", {TAKEN(1, 10, "Hi")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"one taken, one not",
         {TAKEN(2, 11, "Hi"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 20, 1)}},
        {"no body", {MADE(1, 10, "")}, {SENT("", OWL, 0, 20, 1)}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        run(&cases[i]);
}

static void the_sender_is_compared_as_far_as_it_is_known(void **state)
{
    static const struct {
        const char *name;
        const char *from, *service;               /* ours */
        const char *listed_from, *listed_service; /* Twilio's */
        bool same;
    } cases[] = {
        {"from", FROM, NULL, FROM, NULL, true},
        {"other from", FROM, NULL, OTHER, NULL, false},
        {"from and none listed", FROM, NULL, NULL, NULL, false},
        {"alphanumeric", "FastHook", NULL, "FastHook", NULL, true},
        {"service, sender chosen", NULL, SERVICE, FROM, SERVICE, true},
        {"service, no sender yet", NULL, SERVICE, NULL, SERVICE, true},
        {"service, any sender", NULL, SERVICE, OTHER, SERVICE, true},
        {"other service", NULL, SERVICE, FROM, SERVICE2, false},
        {"other service, no sender yet", NULL, SERVICE, NULL, SERVICE2, false},
        {"service and none listed", NULL, SERVICE, FROM, NULL, false},
        {"both", FROM, SERVICE, FROM, SERVICE, true},
        {"both, no sender yet", FROM, SERVICE, NULL, SERVICE, true},
        {"both, other sender", FROM, SERVICE, OTHER, SERVICE, false},
        {"both, other service", FROM, SERVICE, FROM, SERVICE2, false},
        {"both, no service", FROM, SERVICE, FROM, NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct match match = {
            .name = cases[i].name,
            .messages = {MADE_BY(1, 10, cases[i].listed_from, cases[i].listed_service, "Hi")},
            .attempts = {{cases[i].from, cases[i].service, "Hi", OWL, 0, 20,
                          cases[i].same ? 1 : ABSENT}},
        };

        run(&match);
    }
}

static void the_window_has_both_its_ends(void **state)
{
    static const struct {
        const char *name;
        int64_t from, until; /* microseconds from the message's creation */
        bool found;
    } cases[] = {
        {"within", -S, S, true},         {"at the beginning", 0, S, true},
        {"at the end", -S, 0, true},     {"nothing but the moment", 0, 0, true},
        {"just before it", 1, S, false}, {"just after it", -S, -1, false},
    };
    static const struct message message = MADE(1, 10, "Hi");

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = list(&message, 1);
        struct sought sought = seek(&(struct attempt)SENT("Hi", OWL, 0, 0, 0));

        sought.created_from = NOW + 10 * S + cases[i].from;
        sought.created_until = NOW + 10 * S + cases[i].until;
        lookup_match(&listing, &sought, 1);
        check_int(cases[i].name, sought.finding, cases[i].found ? SOUGHT_FOUND : SOUGHT_ABSENT);
        listing_release(&listing);
    }
}

/* ---- bodies ---- */

static const struct {
    const char *a, *b;
} bodies[] = {
    {"Hi", "Hi"},
    {"Caf\u00e9 \U0001f44d", "Caf\u00e9 \U0001f44d"},
    /* Smart Encoding */
    {"\u201cdoor\u201d", "\"door\""},
    {"\u00abdoor\u00bb", "\"door\""},
    {"\u201edoor\u201f", "\"door\""},
    {"It\u2019s \u2018so\u2019", "It's 'so'"},
    {"It`s \u00b4so\u02bc", "It's 'so'"},
    {"a\u2010b\u2011c\u2012d\u2013e\u2014f\u2015g\u2212h", "a-b-c-d-e-f-g-h"},
    {"wait\u2026", "wait..."},
    {"a\u00a0b\u2009c\u202fd\u3000e", "a b c d e"},
    {"a\tb", "a b"},
    {"a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg", "abcdefg"},
    {"1\u20442 \u203c \u02c6 \u02dc \u2217", "1/2 !! ^ ~ *"},
    {"\u201cIt\u2019s \u2014 done\u2026\u201d", "\"It's - done...\""},
    {"\u201cdoor\u201d", "\u201edoor\u201f"},
    /* blanks and ends of lines */
    {"Hi", "Hi "},
    {"Hi", "Hi \n\n"},
    {"Hi\u00a0", "Hi"},
    {"Hi\t\u200b\r\n", "Hi"},
    {"a\r\nb", "a\nb"},
    {"a\u2028b", "a\nb"},
};

static void bodies_are_compared_as_smart_encoding_leaves_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * COUNT(bodies); i++) {
        bool turned = i >= COUNT(bodies);
        const char *a = bodies[i % COUNT(bodies)].a, *b = bodies[i % COUNT(bodies)].b;
        struct match match = {
            .name = turned ? b : a,
            .messages = {MADE_BY(1, 10, FROM, SERVICE, turned ? a : b)},
            .attempts = {{NULL, SERVICE, turned ? b : a, OWL, 0, 20, 1}},
        };

        run(&match);
    }
}

static void trial_accounts_have_a_prefix(void **state)
{
    static const struct match cases[] = {
        {"prefix", {MADE(1, 10, TRIAL "Hi")}, {SENT("Hi", OWL, 0, 20, 1)}},
        {"prefix and Smart Encoding",
         {MADE(1, 10, TRIAL "\"Hi\" - it's...")},
         {SENT("\u201cHi\u201d \u2013 it\u2019s\u2026 ", OWL, 0, 20, 1)}},
        {"ours has it as well", {MADE(1, 10, TRIAL TRIAL "Hi")}, {SENT(TRIAL "Hi", OWL, 0, 20, 1)}},
        {"only ours has it", {MADE(1, 10, "Hi")}, {SENT(TRIAL "Hi", OWL, 0, 20, ABSENT)}},
        {"in the middle", {MADE(1, 10, "Oh, " TRIAL "Hi")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"other body", {MADE(1, 10, TRIAL "Ho")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        run(&cases[i]);
}

/* ---- doubts ---- */

/* Ours is left; what Twilio lists may be it, or may not. */
static void absent_is_only_what_nothing_looks_like(void **state)
{
    static const struct {
        const char *ours, *listed;
        bool absent;
    } cases[] = {
        /* the same plain letters and digits */
        {"Hi", "Hi.", false},
        {"Hi.", "Hi", false},
        {"a-b", "a b", false},
        {"a b", "ab", false},
        {"a  b", "a b", false},
        {"don't", "dont", false},
        {"wait...", "wait..", false},
        {"It's \U0001f44d", "It's ?", false},
        {"Caf\u00e9 5", "Caf 5", false},
        {"\u00c5ngstr\u00f6m", "ngstrm", false},
        {"50 \u20ac", "50", false},
        {"{\"a\": [1]}", "(\"a\": (1))", false},
        /* that go on behind ours */
        {"Hi", "Hi\nReply STOP to end", false},
        {"Hi", "Hi https://mms.example/x1", false},
        {"Door 1", "Door 12", false},
        {"Hi", TRIAL "Hi!", false},
        {"Hi", TRIAL "Hi - and more", false},
        /* nothing to go by */
        {"Hi", "", false},
        {"Hi", NULL, false},
        {"Hi", " ", false},
        {"", "Hi", false},
        {"...", "Hi", false},
        {"\u041f\u0440\u0438\u0432\u0435\u0442", "????", false},
        /* and these are others */
        {"\u041f\u0440\u0438\u0432\u0435\u0442", "Hi", true},
        {"\u041f\u0440\u0438\u0432\u0435\u0442", "\u041f\u043e\u043a\u0430", true},
        {"\u4f60\u597d", "\u518d\u89c1", true},
        {"Hi", "Ho", true},
        {"Hi", "H", true},
        {"Hi", "hi", true},
        {"Hi", "I", true},
        {"Hi", "...", true},
        {"Hi", "\u041f\u0440\u0438\u0432\u0435\u0442", true},
        {"Hi", "Oh, Hi", true},
        {"Hi there", "Hi", true},
        {"Hi there", TRIAL "Hi", true},
        {"Door 1 open", "Door 2 open", true},
        {"Door 12", "Door 1", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct match match = {
            .name = cases[i].ours,
            .messages = {MADE(1, 10, cases[i].listed)},
            .attempts = {SENT(cases[i].ours, OWL, 0, 20, cases[i].absent ? ABSENT : UNDECIDED)},
        };

        run(&match);
    }
}

/* Only what could be ours at all makes a doubt, and only if nothing was found. */
static void what_cannot_be_ours_makes_no_doubt(void **state)
{
    static const struct match cases[] = {
        {"altered", {MADE(1, 10, "Hi.")}, {SENT("Hi", OWL, 0, 20, UNDECIDED)}},
        {"at the ends of the window",
         {MADE(2, 20, "Hi."), MADE(1, 0, "Hi!")},
         {SENT("Hi", OWL, 0, 20, UNDECIDED)}},
        {"too early", {MADE(1, -1, "Hi.")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"too late", {MADE(1, 21, "Hi.")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"taken", {TAKEN(1, 10, "Hi.")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"one taken, one not",
         {TAKEN(2, 11, "Hi."), MADE(1, 10, "Hi.")},
         {SENT("Hi", OWL, 0, 20, UNDECIDED)}},
        {"other sender", {MADE_BY(1, 10, OTHER, NULL, "Hi.")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"other service",
         {MADE_BY(1, 10, NULL, SERVICE2, "Hi.")},
         {SENT_BY(NULL, SERVICE, "Hi", OWL, 0, 20, ABSENT)}},
        {"service, no sender yet",
         {MADE_BY(1, 10, NULL, SERVICE, "Hi.")},
         {SENT_BY(NULL, SERVICE, "Hi", OWL, 0, 20, UNDECIDED)}},
        {"another is found", {MADE(2, 11, "Hi."), MADE(1, 10, "Hi")}, {SENT("Hi", OWL, 0, 20, 1)}},
        {"another is found, and no body",
         {MADE(2, 11, ""), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 20, 1)}},
        {"no body, too early", {MADE(1, -9, "")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"no body, other sender",
         {MADE_BY(1, 10, OTHER, NULL, "")},
         {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"no body, taken", {TAKEN(1, 10, "")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"another attempt's",
         {MADE(1, 10, "Hi there")},
         {SENT("Hi", OWL, 0, 20, ABSENT), SENT("Hi there", OWL, 0, 20, 1)}},
        {"another attempt's, which comes first",
         {MADE(1, 10, "Hi there")},
         {SENT("Hi there", OWL, 0, 20, 1), SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"either attempt's",
         {MADE(1, 10, "Hi there!")},
         {SENT("Hi there", OWL, 0, 20, UNDECIDED), SENT("Hi", OWL, 0, 20, UNDECIDED)}},
        {"of two attempts one may be it",
         {MADE(1, 30, "Hi.")},
         {SENT("Hi", OWL, 0, 20, ABSENT), SENT("Hi", OWL, 15, 35, UNDECIDED)}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        run(&cases[i]);
}

/* Its own attempt may not have reported it yet. */
static void what_is_too_young_is_given_to_nobody(void **state)
{
    static const struct {
        struct match match;
        int64_t settled; /* seconds after NOW */
    } cases[] = {
        {{"settled", {MADE(1, 10, "Hi")}, {SENT("Hi", OWL, 0, 60, 1)}}, 11},
        {{"just settled", {MADE(1, 10, "Hi")}, {SENT("Hi", OWL, 0, 60, 1)}}, 10},
        {{"too young", {MADE(1, 10, "Hi")}, {SENT("Hi", OWL, 0, 60, UNDECIDED)}}, 9},
        {{"too young, but taken", {TAKEN(1, 10, "Hi")}, {SENT("Hi", OWL, 0, 60, ABSENT)}}, 9},
        {{"too young, other body", {MADE(1, 10, "Ho")}, {SENT("Hi", OWL, 0, 60, ABSENT)}}, 9},
        {{"too young, and too late anyway", {MADE(1, 61, "Hi")}, {SENT("Hi", OWL, 0, 60, ABSENT)}},
         9},
        {{"too young, other sender",
          {MADE_BY(1, 10, OTHER, NULL, "Hi")},
          {SENT("Hi", OWL, 0, 60, ABSENT)}},
         9},
        {{"too young, altered", {MADE(1, 10, "Hi.")}, {SENT("Hi", OWL, 0, 60, UNDECIDED)}}, 9},
        {{"one settled, one too young",
          {MADE(2, 30, "Hi"), MADE(1, 10, "Hi")},
          {SENT("Hi", OWL, 0, 60, UNDECIDED)}},
         20},
        {{"one settled, one too young, two attempts",
          {MADE(2, 30, "Hi"), MADE(1, 10, "Hi")},
          {SENT("Hi", OWL, 0, 60, UNDECIDED), SENT("Hi", OWL, 5, 65, UNDECIDED)}},
         20},
        {{"too young for one kind, not for the other",
          {MADE(2, 30, "Ho"), MADE(1, 10, "Hi")},
          {SENT("Hi", OWL, 0, 60, 1), SENT("Ho", OWL, 5, 65, UNDECIDED)}},
         20},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        run_settled(&cases[i].match, NOW + cases[i].settled * S);
}

#define WITNESS "MM00000000000000000000000000000002"

/* A list that lacks what Twilio is known to have may lack ours as well. */
static void absence_needs_its_witness(void **state)
{
    static const struct {
        const char *name;
        struct message messages[2];
        size_t count;
        const char *witness;
        int finding;
    } cases[] = {
        {"none known", {{0}}, 0, NULL, SOUGHT_ABSENT},
        {"not there", {{0}}, 0, WITNESS, SOUGHT_UNDECIDED},
        {"there", {TAKEN(2, 30, "Ho")}, 1, WITNESS, SOUGHT_ABSENT},
        {"there, beyond the window", {TAKEN(2, 90, "Ho")}, 1, WITNESS, SOUGHT_ABSENT},
        {"there, from another sender",
         {MADE_BY(2, 30, OTHER, NULL, "Ho")},
         1,
         WITNESS,
         SOUGHT_ABSENT},
        {"there, the older of two",
         {TAKEN(3, 40, "Ho"), TAKEN(2, 30, "Hi")},
         2,
         WITNESS,
         SOUGHT_ABSENT},
        {"there, the younger of two",
         {TAKEN(2, 40, "Ho"), TAKEN(1, 30, "Hi")},
         2,
         WITNESS,
         SOUGHT_ABSENT},
        {"another is there", {TAKEN(3, 30, "Ho")}, 1, WITNESS, SOUGHT_UNDECIDED},
        {"not there, but found", {MADE(1, 10, "Hi")}, 1, WITNESS, SOUGHT_FOUND},
        {"there, but altered",
         {TAKEN(2, 30, "Ho"), MADE(1, 10, "Hi.")},
         2,
         WITNESS,
         SOUGHT_UNDECIDED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = list(cases[i].messages, cases[i].count);
        struct sought sought = seek(&(struct attempt)SENT("Hi", OWL, 0, 60, 0));

        sought.witness = cases[i].witness;
        lookup_match(&listing, &sought, 1);
        check_int(cases[i].name, sought.finding, cases[i].finding);
        listing_release(&listing);
    }
}

/* One list, several attempts: each has a witness of its own, or none. */
static void a_witness_speaks_for_its_own_attempt(void **state)
{
    static const struct message message = TAKEN(2, 30, "Ho");
    struct listing listing = list(&message, 1);
    struct sought sought[3];

    (void)state;
    for (size_t i = 0; i < COUNT(sought); i++)
        sought[i] = seek(&(struct attempt)SENT("Hi", OWL, 0, 60, 0));
    sought[0].witness = WITNESS;
    sought[1].witness = "MM00000000000000000000000000000009";
    lookup_match(&listing, sought, COUNT(sought));
    assert_int_equal(sought[0].finding, SOUGHT_ABSENT);
    assert_int_equal(sought[1].finding, SOUGHT_UNDECIDED);
    assert_int_equal(sought[2].finding, SOUGHT_ABSENT);
    listing_release(&listing);
}

/* ---- attempts to make equal messages ---- */

static void equal_attempts_are_matched_one_to_one_in_time(void **state)
{
    static const struct match cases[] = {
        {"two and two",
         {MADE(2, 20, "Hi"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, 1), SENT("Hi", OWL, 5, 65, 2)}},
        {"two and two, the later attempt first",
         {MADE(2, 20, "Hi"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 5, 65, 2), SENT("Hi", OWL, 0, 60, 1)}},
        {"two and two, different media",
         {MADE(2, 20, "Hi"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, 1), SENT("Hi", CAT, 5, 65, 2)}},
        {"two and two of the same second",
         {MADE(2, 10, "Hi"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, 1), SENT("Hi", OWL, 5, 65, 2)}},
        {"the first message fits the first attempt only",
         {MADE(2, 60, "Hi"), MADE(1, 40, "Hi")},
         {SENT("Hi", OWL, 0, 100, 1), SENT("Hi", OWL, 50, 150, 2)}},
        {"who waits shorter is served first",
         {MADE(2, 60, "Hi"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 100, 2), SENT("Hi", OWL, 0, 50, 1)}},
        {"three and three",
         {MADE(3, 30, "Hi"), MADE(2, 20, "Hi"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, 1), SENT("Hi", OWL, 1, 61, 2), SENT("Hi", OWL, 2, 62, 3)}},
        {"two and one",
         {MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, 1), SENT("Hi", OWL, 5, 65, ABSENT)}},
        {"two and one, which only fits the second",
         {MADE(1, 62, "Hi")},
         {SENT("Hi", OWL, 0, 60, ABSENT), SENT("Hi", OWL, 5, 65, 1)}},
        {"two and one, equal but for look-alikes",
         {MADE(1, 10, "It's")},
         {SENT("It\u2019s", OWL, 0, 60, 1), SENT("It's ", OWL, 5, 65, ABSENT)}},
        {"two and one, equal but for look-alikes, different media",
         {MADE(1, 10, "It's")},
         {SENT("It\u2019s", OWL, 0, 60, UNDECIDED), SENT("It's ", CAT, 5, 65, UNDECIDED)}},
        {"two and one, different media",
         {MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, UNDECIDED), SENT("Hi", CAT, 5, 65, UNDECIDED)}},
        {"three and one, the last with different media",
         {MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, UNDECIDED), SENT("Hi", OWL, 1, 61, UNDECIDED),
          SENT("Hi", CAT, 2, 62, UNDECIDED)}},
        {"two and none, different media",
         {MADE(1, 10, "Ho")},
         {SENT("Hi", OWL, 0, 60, ABSENT), SENT("Hi", CAT, 5, 65, ABSENT)}},
        {"one and two",
         {MADE(2, 20, "Hi"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, UNDECIDED)}},
        {"two and three",
         {MADE(3, 30, "Hi"), MADE(2, 20, "Hi"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, UNDECIDED), SENT("Hi", OWL, 5, 65, UNDECIDED)}},
        {"one and two, one of them taken",
         {MADE(2, 20, "Hi"), TAKEN(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, 2)}},
        {"windows apart, a message in each",
         {MADE(2, 110, "Hi"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 100, 160, 2), SENT("Hi", OWL, 0, 60, 1)}},
        {"windows apart, the second has one",
         {MADE(1, 110, "Hi")},
         {SENT("Hi", OWL, 0, 60, ABSENT), SENT("Hi", OWL, 100, 160, 1)}},
        {"windows apart, a message between",
         {MADE(1, 80, "Hi")},
         {SENT("Hi", OWL, 0, 60, ABSENT), SENT("Hi", OWL, 100, 160, ABSENT)}},
        {"two, one whole and one redacted",
         {MADE(2, 20, ""), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, 1), SENT("Hi", OWL, 5, 65, UNDECIDED)}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        run(&cases[i]);
}

static void different_kinds_do_not_mix(void **state)
{
    static const struct match cases[] = {
        {"bodies",
         {MADE(2, 20, "Ho"), MADE(1, 10, "Hi")},
         {SENT("Ho", OWL, 0, 60, 2), SENT("Hi", OWL, 0, 60, 1)}},
        {"bodies, one message",
         {MADE(1, 10, "Hi")},
         {SENT("Ho", OWL, 0, 60, ABSENT), SENT("Hi", CAT, 0, 60, 1)}},
        {"senders",
         {MADE_BY(2, 20, OTHER, NULL, "Hi"), MADE(1, 10, "Hi")},
         {SENT_BY(OTHER, NULL, "Hi", OWL, 0, 60, 2), SENT("Hi", OWL, 0, 60, 1)}},
        {"senders, one message",
         {MADE(1, 10, "Hi")},
         {SENT_BY(OTHER, NULL, "Hi", OWL, 0, 60, ABSENT), SENT("Hi", CAT, 0, 60, 1)}},
        {"services",
         {MADE_BY(2, 20, NULL, SERVICE2, "Hi"), MADE_BY(1, 10, NULL, SERVICE, "Hi")},
         {SENT_BY(NULL, SERVICE2, "Hi", OWL, 0, 60, 2),
          SENT_BY(NULL, SERVICE, "Hi", OWL, 0, 60, 1)}},
        {"one kind in doubt, the other not",
         {MADE(3, 30, "Ho"), MADE(2, 20, "Hi"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, UNDECIDED), SENT("Ho", OWL, 0, 60, 3)}},
        {"kinds interleaved",
         {MADE(4, 40, "Ho"), MADE(3, 30, "Hi"), MADE(2, 20, "Ho"), MADE(1, 10, "Hi")},
         {SENT("Hi", OWL, 0, 60, 1), SENT("Ho", OWL, 1, 61, 2), SENT("Hi", OWL, 2, 62, 3),
          SENT("Ho", OWL, 3, 63, 4)}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        run(&cases[i]);
}

static void doubt_says_why(void **state)
{
    static const struct {
        const char *name;
        struct message messages[3];
        size_t message_count;
        const char *media; /* of the second attempt; NULL: there is none */
        const char *parts[2];
    } cases[] = {
        {"too many messages",
         {MADE(3, 30, "Hi"), MADE(2, 20, "Hi"), MADE(1, 10, "Hi")},
         3,
         OWL,
         {"3 messages", "2 of ours"}},
        {"too many for one",
         {MADE(2, 20, "Hi"), MADE(1, 10, "Hi")},
         2,
         NULL,
         {"2 messages", "1 of ours"}},
        {"media", {MADE(1, 10, "Hi")}, 1, CAT, {"equal bodies", "different media"}},
        {"no body", {MADE(1, 10, "")}, 1, NULL, {"may be it", "altered"}},
        {"altered", {MADE(1, 10, "Hi.")}, 1, OWL, {"may be it", "altered"}},
        {"no witness", {MADE(1, 10, "Ho")}, 1, NULL, {"list lacks", "known to be there"}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listing listing = list(cases[i].messages, cases[i].message_count);
        size_t count = cases[i].media != NULL ? 2 : 1;
        struct sought sought[] = {
            seek(&(struct attempt){FROM, NULL, "Hi", OWL, 0, 60, 0}),
            seek(&(struct attempt){FROM, NULL, "Hi", cases[i].media, 0, 60, 0}),
        };

        sought[0].witness = sought[1].witness = WITNESS;
        lookup_match(&listing, sought, count);
        for (size_t k = 0; k < count; k++) {
            check_int(cases[i].name, sought[k].finding, SOUGHT_UNDECIDED);
            check_contains(cases[i].name, sought[k].why, cases[i].parts[0]);
            check_contains(cases[i].name, sought[k].why, cases[i].parts[1]);
            check_lacks(cases[i].name, sought[k].why, "\n");
        }
        listing_release(&listing);
    }
}

/* ---- what Twilio was asked to do to messages ---- */

#define LONG  "https://shop.example/orders/1?from=mms&x=%20#top"
#define LONG2 "https://shop.example/orders/2"
#define SHORT "https://sho.rt/Ab12"

/* Whatever stands in its place, a link is as good as another; the rest is not. */
static void shortened_links_are_all_the_same(void **state)
{
    static const struct match cases[] = {
        {"another link", {MADE(1, 10, "See " SHORT)}, {SENT("See " LONG, OWL, 0, 20, 1)}},
        {"the same link", {MADE(1, 10, "See " LONG)}, {SENT("See " LONG, OWL, 0, 20, 1)}},
        {"nothing but a link", {MADE(1, 10, SHORT)}, {SENT(LONG, OWL, 0, 20, 1)}},
        {"in the middle", {MADE(1, 10, "a " SHORT " b")}, {SENT("a " LONG " b", OWL, 0, 20, 1)}},
        {"two",
         {MADE(1, 10, "a " SHORT "\n" SHORT "x b")},
         {SENT("a " LONG "\nhttp://b.example b", OWL, 0, 20, 1)}},
        {"one of two",
         {MADE(1, 10, "a " SHORT " " LONG2)},
         {SENT("a " LONG " " LONG2, OWL, 0, 20, 1)}},
        {"case of the scheme", {MADE(1, 10, "a " SHORT)}, {SENT("a HTTP://x.y/", OWL, 0, 20, 1)}},
        {"signs around it",
         {MADE(1, 10, "a (" SHORT "), \"" SHORT "\".")},
         {SENT("a (" LONG "), \"" LONG2 "\".", OWL, 0, 20, 1)}},
        {"look-alikes as well",
         {MADE(1, 10, "\"It's\" " SHORT "...")},
         {SENT("\u201cIt\u2019s\u201d " LONG "\u2026", OWL, 0, 20, 1)}},
        {"trial account", {MADE(1, 10, TRIAL "a " SHORT)}, {SENT("a " LONG, OWL, 0, 20, 1)}},
        {"no link", {MADE(1, 10, "Hi")}, {SENT("Hi", OWL, 0, 20, 1)}},
        {"other text before", {MADE(1, 10, "Oh " SHORT)}, {SENT("a " LONG, OWL, 0, 20, ABSENT)}},
        {"other text, no link", {MADE(1, 10, "Oh")}, {SENT("a " LONG, OWL, 0, 20, ABSENT)}},
        {"no link, other text", {MADE(1, 10, "Ho")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"too late", {MADE(1, 21, "a " SHORT)}, {SENT("a " LONG, OWL, 0, 20, ABSENT)}},
        {"taken", {TAKEN(1, 10, "a " SHORT)}, {SENT("a " LONG, OWL, 0, 20, ABSENT)}},
        {"nothing there", {{0}}, {SENT("a " LONG, OWL, 0, 20, ABSENT)}},
        {"other sender",
         {MADE_BY(1, 10, OTHER, NULL, "a " SHORT)},
         {SENT("a " LONG, OWL, 0, 20, ABSENT)}},
        /* Behind a link nobody knows what Twilio took for a part of it. */
        {"other text behind",
         {MADE(1, 10, "a " SHORT " b")},
         {SENT("a " LONG " c", OWL, 0, 20, UNDECIDED)}},
        {"without its scheme",
         {MADE(1, 10, "a sho.rt/Ab12 b")},
         {SENT("a " LONG " b", OWL, 0, 20, UNDECIDED)}},
        {"a link in letters of its own",
         {MADE(1, 10, "a " SHORT " b")},
         {SENT("a https://a.example/\u0101 b", OWL, 0, 20, UNDECIDED)}},
        {"no body", {MADE(1, 10, "")}, {SENT(LONG, OWL, 0, 20, UNDECIDED)}},
        {"two messages",
         {MADE(2, 11, "a " SHORT), MADE(1, 10, "a " SHORT "2")},
         {SENT("a " LONG, OWL, 0, 20, UNDECIDED)}},
        /* Attempts that differ in their links alone. */
        {"two and two",
         {MADE(2, 20, "a " SHORT), MADE(1, 10, "a " SHORT "2")},
         {SENT("a " LONG, OWL, 0, 60, 1), SENT("a " LONG2, OWL, 5, 65, 2)}},
        {"two and one",
         {MADE(1, 10, "a " SHORT)},
         {SENT("a " LONG, OWL, 0, 60, UNDECIDED), SENT("a " LONG2, OWL, 5, 65, UNDECIDED)}},
        {"two and none",
         {{0}},
         {SENT("a " LONG, OWL, 0, 60, ABSENT), SENT("a " LONG2, OWL, 5, 65, ABSENT)}},
        {"two with the same link, and one",
         {MADE(1, 10, "a " SHORT)},
         {SENT("a " LONG, OWL, 0, 60, 1), SENT("a " LONG, OWL, 5, 65, ABSENT)}},
    };
    static const struct sought as = {
        .settled_by = INT64_MAX, .links_shortened = true, .others_known = true};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        run_as(&cases[i], &as);
}

static void links_that_were_not_shortened_are_compared(void **state)
{
    static const struct match cases[] = {
        {"another link", {MADE(1, 10, "See " SHORT)}, {SENT("See " LONG, OWL, 0, 20, ABSENT)}},
        {"the same link", {MADE(1, 10, "See " LONG)}, {SENT("See " LONG, OWL, 0, 20, 1)}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        run(&cases[i]);
}

/* An attempt with another link isn't sought together with this one before both were looked up. */
static void a_shortened_link_may_be_of_another_attempt(void **state)
{
    static const struct match cases[] = {
        {"another link", {MADE(1, 10, "a " SHORT)}, {SENT("a " LONG, OWL, 0, 20, UNDECIDED)}},
        {"the very body", {MADE(1, 10, "a " LONG)}, {SENT("a " LONG, OWL, 0, 20, 1)}},
        {"no link", {MADE(1, 10, "Hi")}, {SENT("Hi", OWL, 0, 20, 1)}},
        {"nothing there", {{0}}, {SENT("a " LONG, OWL, 0, 20, ABSENT)}},
        {"other text", {MADE(1, 10, "Oh " SHORT)}, {SENT("a " LONG, OWL, 0, 20, ABSENT)}},
    };
    static const struct sought as = {.settled_by = INT64_MAX, .links_shortened = true};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        run_as(&cases[i], &as);
}

/* The destination was changed between two attempts: the very body is the other's. */
static void the_very_body_comes_first(void **state)
{
    static const struct message message = MADE(1, 10, "a " LONG);
    struct listing listing = list(&message, 1);
    struct sought sought[] = {
        seek(&(struct attempt)SENT("a " LONG2, OWL, 0, 60, 0)),
        seek(&(struct attempt)SENT("a " LONG, OWL, 5, 65, 0)),
    };

    (void)state;
    sought[0].links_shortened = sought[0].others_known = true;
    lookup_match(&listing, sought, COUNT(sought));
    assert_int_equal(sought[0].finding, SOUGHT_ABSENT);
    assert_int_equal(sought[1].finding, SOUGHT_FOUND);
    listing_release(&listing);
}

/* Such attempts are of one kind if there is no link in them, and never if there is. */
static void what_was_asked_for_changes_between_attempts(void **state)
{
    static const struct {
        const char *name, *first, *second; /* the first with shortened links */
        const char *listed[2];             /* the newest first */
        int found[2];
    } cases[] = {
        {"no link", "Hi", "Hi", {"Hi", "Hi"}, {1, 2}},
        {"links", "a " LONG, "a " LONG2, {"a " LONG2, "a " SHORT}, {1, 2}},
        {"a link that is a mark", "a " LONG, "a http://", {"a http://", "b"}, {ABSENT, 2}},
    };

    (void)state;
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        const char *const *listed = cases[i / 2].listed;
        const struct message messages[] = {MADE(2, 20, listed[0]), MADE(1, 10, listed[1])};
        struct listing listing = list(messages, COUNT(messages));
        size_t first = i % 2; /* whichever comes first */
        struct sought sought[2];

        sought[first] = seek(&(struct attempt)SENT(cases[i / 2].first, OWL, 0, 60, 0));
        sought[first].links_shortened = sought[first].others_known = true;
        sought[1 - first] = seek(&(struct attempt)SENT(cases[i / 2].second, OWL, 5, 65, 0));
        lookup_match(&listing, sought, COUNT(sought));
        check_int(cases[i / 2].name, found_number(&sought[first]), cases[i / 2].found[0]);
        check_int(cases[i / 2].name, found_number(&sought[1 - first]), cases[i / 2].found[1]);
        listing_release(&listing);
    }
}

/* Twilio may have emptied it, or not yet. */
static void a_discarded_body_is_not_told_apart(void **state)
{
    static const struct match cases[] = {
        {"emptied", {MADE(1, 10, "")}, {SENT("Hi", OWL, 0, 20, UNDECIDED)}},
        {"none", {MADE(1, 10, NULL)}, {SENT("Hi", OWL, 0, 20, UNDECIDED)}},
        {"not yet", {MADE(1, 10, "Hi")}, {SENT("Hi", OWL, 0, 20, 1)}},
        {"another's, not yet", {MADE(1, 10, "Ho")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"emptied, taken", {TAKEN(1, 10, "")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"emptied, too late", {MADE(1, 21, "")}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"nothing there", {{0}}, {SENT("Hi", OWL, 0, 20, ABSENT)}},
        {"two, one emptied",
         {MADE(1, 10, "")},
         {SENT("Hi", OWL, 0, 60, UNDECIDED), SENT("Ho", OWL, 5, 65, UNDECIDED)}},
    };
    static const struct sought as = {.settled_by = INT64_MAX, .body_discarded = true};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        run_as(&cases[i], &as);
}

static void doubt_says_what_was_asked_for(void **state)
{
    static const struct {
        const char *name, *listed;
        bool discarded, shortened, others_known;
        const char *second, *part; /* a second attempt's body; NULL: there is none */
    } cases[] = {
        {"discarded", "", true, false, false, NULL, "has bodies discarded"},
        {"altered", "a " LONG "!", true, false, false, NULL, "altered"},
        {"too early", "a " SHORT, false, true, false, NULL, "matches but for its links"},
        {"links", "a " SHORT, false, true, true, "a " LONG2, "differ in their links"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message message = MADE(1, 10, cases[i].listed);
        struct listing listing = list(&message, 1);
        const char *bodies_of[] = {"a " LONG, cases[i].second};
        size_t count = cases[i].second != NULL ? 2 : 1;
        struct sought sought[2];

        for (size_t k = 0; k < count; k++) {
            sought[k] = seek(&(struct attempt)SENT(bodies_of[k], OWL, 0, 60, 0));
            sought[k].body_discarded = cases[i].discarded;
            sought[k].links_shortened = cases[i].shortened;
            sought[k].others_known = cases[i].others_known;
        }
        lookup_match(&listing, sought, count);
        for (size_t k = 0; k < count; k++) {
            check_int(cases[i].name, sought[k].finding, SOUGHT_UNDECIDED);
            check_contains(cases[i].name, sought[k].why, cases[i].part);
        }
        listing_release(&listing);
    }
}

/* ---- whatever there is ---- */

static bool in_window(const struct sought *sought, const struct listed *message)
{
    return message->created_at >= sought->created_from &&
           message->created_at <= sought->created_until;
}

/*
 * A message is given once at most, to an attempt that may have made it and when it is old enough;
 * and nobody is said to have made none while there is one that is like it.
 */
static void check_given(const char *name, const struct listing *listing,
                        const struct sought *sought, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct listed *message = sought[i].message;

        check_int(name, message != NULL, sought[i].finding == SOUGHT_FOUND);
        if (message == NULL)
            continue;
        check_true(name, message->taken);
        check_string(name, message->body, sought[i].body);
        check_true(name, in_window(&sought[i], message));
        check_true(name, message->created_at <= sought[i].settled_by);
        for (size_t k = 0; k < i; k++)
            check_true(name, sought[k].message != message);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < listing->count && sought[i].finding == SOUGHT_ABSENT; k++) {
            const struct listed *message = &listing->messages[k];

            check_true(name, message->taken || !in_window(&sought[i], message) ||
                                 strcmp(message->body, sought[i].body) != 0);
        }
    }
}

static void a_message_is_never_given_twice_to_two_kinds(void **state)
{
    /* This one message is what each of the attempts may have made. */
    static const struct message message = MADE_BY(1, 10, FROM, SERVICE, "Hi");
    static const struct attempt attempts[] = {
        {NULL, SERVICE, "Hi", OWL, 0, 60, 0},
        {FROM, SERVICE, "Hi", OWL, 0, 60, 0},
        {FROM, NULL, "Hi", OWL, 0, 60, 0},
    };

    (void)state;
    for (size_t first = 0; first < COUNT(attempts); first++) {
        struct listing listing = list(&message, 1);
        struct sought sought[COUNT(attempts)];

        for (size_t i = 0; i < COUNT(attempts); i++)
            sought[i] = seek(&attempts[(first + i) % COUNT(attempts)]);
        lookup_match(&listing, sought, COUNT(attempts));
        check_given("one for three", &listing, sought, COUNT(attempts));
        listing_release(&listing);
    }
}

#define MANY_ATTEMPTS 100
#define MANY_MESSAGES 500

/* `kinds` bodies; windows and messages within an hour. */
static void run_many(uint64_t *seed, int kinds, size_t attempt_count, size_t message_count)
{
    static struct message messages[MANY_MESSAGES];
    static struct sought sought[MANY_ATTEMPTS];
    static char texts[MANY_ATTEMPTS][32];
    int64_t settled = (int64_t)check_random(seed, 2) * 1800 + 1800;
    struct listing listing;

    for (int i = 0; i < kinds; i++)
        snprintf(texts[i], sizeof texts[i], "Event %d", i);
    for (size_t i = 0; i < message_count; i++)
        messages[i] = (struct message){.n = (int)i + 1,
                                       .at = (int64_t)check_random(seed, 3600),
                                       .from = FROM,
                                       .body = texts[check_random(seed, (uint64_t)kinds)],
                                       .taken = check_random(seed, 10) == 0};
    for (size_t i = 0; i < attempt_count; i++) {
        int64_t begin = (int64_t)check_random(seed, 3600);

        sought[i] = seek(&(struct attempt){.from = FROM,
                                           .body = texts[check_random(seed, (uint64_t)kinds)],
                                           .media = check_random(seed, 4) == 0 ? CAT : OWL,
                                           .begin = begin,
                                           .end = begin + 70});
        sought[i].settled_by = NOW + settled * S;
    }
    listing = list(messages, message_count);
    lookup_match(&listing, sought, attempt_count);
    check_given("many", &listing, sought, attempt_count);
    listing_release(&listing);
}

static void a_message_is_never_given_twice(void **state)
{
    uint64_t seed = 7;

    (void)state;
    for (int round = 0; round < 300; round++)
        run_many(&seed, 1 + (int)check_random(&seed, 5), 1 + check_random(&seed, 12),
                 check_random(&seed, 80));
}

static void many_are_matched(void **state)
{
    uint64_t seed = 8;

    (void)state;
    run_many(&seed, 1, MANY_ATTEMPTS, MANY_MESSAGES);
    run_many(&seed, 20, MANY_ATTEMPTS, MANY_MESSAGES);
    run_many(&seed, MANY_ATTEMPTS, MANY_ATTEMPTS, MANY_MESSAGES);
}

static void taking_is_by_sid(void **state)
{
    static const struct message messages[] = {MADE(2, 20, "Hi"), MADE(1, 10, "Hi")};
    struct listing listing = list(messages, 2);

    (void)state;
    listing_take(&listing, "MM00000000000000000000000000000009");
    assert_false(listing.messages[0].taken || listing.messages[1].taken);
    listing_take(&listing, "MM00000000000000000000000000000001");
    assert_false(listing.messages[0].taken);
    assert_true(listing.messages[1].taken);
    lookup_match(&listing, NULL, 0);
    listing_release(&listing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_path_is_escaped),
        cmocka_unit_test(reads_a_page_of_twilio),
        cmocka_unit_test(pages_are_bounded),
        cmocka_unit_test(pages_add_up),
        cmocka_unit_test(an_empty_list_is_a_list),
        cmocka_unit_test(the_next_page_is_of_the_same_list),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(a_message_that_cannot_be_judged_spoils_the_page),
        cmocka_unit_test(a_good_message_does_not_hide_a_bad_one),
        cmocka_unit_test(odd_statuses_are_left_out),
        cmocka_unit_test(what_was_received_is_skipped),
        cmocka_unit_test(what_is_listed_twice_is_kept_once),
        cmocka_unit_test(what_is_too_old_is_not_kept),
        cmocka_unit_test(the_last_one_of_a_page_says_how_far_it_goes),
        cmocka_unit_test(goes_on_until_the_list_is_older_than_what_is_sought),
        cmocka_unit_test(one_attempt_is_told_by_what_it_would_have_made),
        cmocka_unit_test(the_sender_is_compared_as_far_as_it_is_known),
        cmocka_unit_test(the_window_has_both_its_ends),
        cmocka_unit_test(bodies_are_compared_as_smart_encoding_leaves_them),
        cmocka_unit_test(trial_accounts_have_a_prefix),
        cmocka_unit_test(absent_is_only_what_nothing_looks_like),
        cmocka_unit_test(what_cannot_be_ours_makes_no_doubt),
        cmocka_unit_test(what_is_too_young_is_given_to_nobody),
        cmocka_unit_test(absence_needs_its_witness),
        cmocka_unit_test(a_witness_speaks_for_its_own_attempt),
        cmocka_unit_test(equal_attempts_are_matched_one_to_one_in_time),
        cmocka_unit_test(different_kinds_do_not_mix),
        cmocka_unit_test(doubt_says_why),
        cmocka_unit_test(shortened_links_are_all_the_same),
        cmocka_unit_test(links_that_were_not_shortened_are_compared),
        cmocka_unit_test(a_shortened_link_may_be_of_another_attempt),
        cmocka_unit_test(the_very_body_comes_first),
        cmocka_unit_test(what_was_asked_for_changes_between_attempts),
        cmocka_unit_test(a_discarded_body_is_not_told_apart),
        cmocka_unit_test(doubt_says_what_was_asked_for),
        cmocka_unit_test(a_message_is_never_given_twice_to_two_kinds),
        cmocka_unit_test(a_message_is_never_given_twice),
        cmocka_unit_test(many_are_matched),
        cmocka_unit_test(taking_is_by_sid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
