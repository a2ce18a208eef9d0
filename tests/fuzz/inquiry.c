/*
 * What an unknown attempt is looked for by: the same whether it is read from its evidence or, since
 * its worker is lost, rendered again from its event.
 */
#include "worker/inquiry.c" /* the columns of its rows are nobody else's */

#include <endian.h>

#include "tests/fuzz/fuzz.h"
#include "worker/twilio.h"

#define BASE    "https://api.twilio.com"
#define ACCOUNT "AC0123456789abcdef0123456789abcdef"
#define COLUMNS (C_AS_SMS + 1)

struct row {
    const char *request; /* NULL: the worker was lost */
    const char *event, *config;
    bool as_sms;
};

/* ---- a row of reconcile.sql ---- */

static void put(PGresult *rows, int column, const char *bytes, size_t length)
{
    must(PQsetvalue(rows, 0, column, (char *)bytes, bytes != NULL ? (int)length : -1));
}

static void put_text(PGresult *rows, int column, const char *text)
{
    put(rows, column, text, text != NULL ? strlen(text) : 0);
}

static void put_int4(PGresult *rows, int column, uint32_t value)
{
    uint32_t wire = htobe32(value);

    put(rows, column, (const char *)&wire, sizeof wire);
}

static void put_int8(PGresult *rows, int column, uint64_t value)
{
    uint64_t wire = htobe64(value);

    put(rows, column, (const char *)&wire, sizeof wire);
}

static PGresult *make_rows(const struct row *row)
{
    static char name[] = "column";
    PGresult *rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[COLUMNS];

    for (int i = 0; i < COLUMNS; i++)
        columns[i] = (PGresAttDesc){.name = name, .format = 1, .typlen = -1, .atttypmod = -1};
    must(PQsetResultAttrs(rows, COLUMNS, columns));
    for (int i = 0; i < COLUMNS; i++)
        put_text(rows, i, NULL);
    put_text(rows, C_DESTINATION_ID, "des_1");
    put_int8(rows, C_ID, 7);
    put_text(rows, C_EVENT_ID, "evt_1");
    put_int4(rows, C_ATTEMPT, 1);
    put_int8(rows, C_SLOT_AT, 0);
    put_int8(rows, C_FINISHED_AT, 0);
    put_text(rows, C_REASON, "TIMEOUT");
    put_text(rows, C_REQUEST, row->request);
    put_text(rows, C_EVENT, row->event);
    put_int4(rows, C_SAME_CONFIG, 1);
    put_text(rows, C_TYPE, "TWILIO_MMS");
    put_text(rows, C_CONFIG, row->config);
    put_int4(rows, C_IS_UNKNOWN, 1);
    put_int4(rows, C_IS_GIVEN_UP, 0);
    put_int4(rows, C_AS_SMS, row->as_sms);
    return rows;
}

static void check_text(const char *text)
{
    must(text == NULL || fuzz_is_utf8(text, strlen(text)));
}

static struct inquiry *inquire(const struct row *row)
{
    static const struct inquiry_options options = {.twilio_base_url = BASE};
    PGresult *rows = make_rows(row);
    struct inquiry *q = inquiry_from_row(rows, 0, &options);

    PQclear(rows);
    must(q->why[0] == '\0' || fuzz_is_line(q->why, sizeof q->why));
    /* Who can be asked about has all that the question and its answer are compared with. */
    if (q->why[0] == '\0') {
        must(strcmp(q->account_sid, ACCOUNT) == 0 && q->to != NULL && q->body != NULL);
        must(q->media != NULL && q->user != NULL && q->password != NULL && inquiry_same_list(q, q));
    }
    check_text(q->to);
    check_text(q->from);
    check_text(q->messaging_service_sid);
    check_text(q->body);
    check_text(q->media);
    return q;
}

/* ---- two of one ---- */

static void must_equal(const char *a, const char *b)
{
    must(a == b || (a != NULL && b != NULL && strcmp(a, b) == 0));
}

static void check_same(const struct inquiry *told, const struct inquiry *again)
{
    must(!told->never_sent && !again->never_sent && !again->unsure);
    must_equal(told->why, again->why);
    must_equal(told->account_sid, again->account_sid);
    must_equal(told->to, again->to);
    must_equal(told->from, again->from);
    must_equal(told->messaging_service_sid, again->messaging_service_sid);
    must_equal(told->body, again->body);
    must_equal(told->media, again->media);
    must(told->links_shortened == again->links_shortened);
    must(told->body_discarded == again->body_discarded);
}

static void check_lost(struct row row, const struct destination *destination, const json_t *event)
{
    struct message message = {.to = NULL};
    struct twilio_request request;
    struct inquiry *again = inquire(&row), *told;
    const char *reason;
    char why[256];

    if (render_message(destination, event, &message, &reason, why, sizeof why)) {
        if (row.as_sms)
            message_to_sms(&message);
        twilio_request_build(BASE, destination, &message, NULL, &request);
        row.request = request.evidence;
        row.event = NULL;
        told = inquire(&row);
        if (strcmp(request.evidence, "null") != 0)
            check_same(told, again);
        inquiry_free(told);
        twilio_request_release(&request);
    } else {
        must(again->never_sent);
    }
    message_release(&message);
    inquiry_free(again);
}

/* The config with an account of ours, so that more inputs get further. */
static char *with_auth(const struct fuzz_input *input)
{
    json_t *config = fuzz_json(input, 0);
    char *text;

    if (json_is_object(config))
        json_object_set_new(config, "auth",
                            json_pack("{s:s,s:s}", "account_sid", ACCOUNT, "auth_token", "token"));
    text = config != NULL ? fuzz_json_text(config) : mem_strdup("null");
    json_decref(config);
    return text;
}

/* Pieces: config, event, anything as evidence, "sms" if it was sent as one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct destination destination;
    struct fuzz_input input;
    char why[640] = "", *config, *event_text, *said_text;
    json_t *event, *said;

    fuzz_split(data, size, &input);
    config = with_auth(&input);
    event = fuzz_json(&input, 1);
    said = fuzz_json(&input, 2);
    event_text = event != NULL ? fuzz_json_text(event) : NULL;
    said_text = said != NULL ? fuzz_json_text(said) : NULL;
    if (destination_parse("TWILIO_MMS", config, &destination, why, sizeof why) &&
        destination_reveal(&destination, NULL, why, sizeof why) && event != NULL) {
        struct row row = {.event = event_text,
                          .config = config,
                          .as_sms = strcmp(fuzz_text(&input, 3), "sms") == 0};

        check_lost(row, &destination, event);
        row.request = said_text;
        inquiry_free(inquire(&row));
    }
    destination_release(&destination);
    json_decref(event);
    json_decref(said);
    free(event_text);
    free(said_text);
    free(config);
    fuzz_release(&input);
    return 0;
}
