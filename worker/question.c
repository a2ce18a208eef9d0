#include "worker/question.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "sql.h"
#include "worker/limits.h"

/* Clocks of whole seconds on both sides. */
#define SETTLE_MARGIN CLOCK_SECOND

struct question {
    const struct question_options *options;
    struct inquiry *inquiries;
    size_t count;
    struct listing listing;
    struct twilio_clock clock;
    int64_t asked_at;
    int pages;
};

/* ---- the end ---- */

static void end(struct question *question)
{
    question->options->ended(question->options->arg, question);
}

static void fail(struct question *question, const char *why)
{
    struct sought sought = {.finding = SOUGHT_UNDECIDED};

    snprintf(sought.why, sizeof sought.why, "%s", why);
    for (struct inquiry *i = question->inquiries; i != NULL; i = i->next)
        question->options->answered(question->options->arg, i, &sought, question->asked_at);
    end(question);
}

static struct sought sought_of(const struct question *question, const struct inquiry *inquiry)
{
    const struct question_options *o = question->options;

    return inquiry_sought(inquiry, o->delay, o->twilio_timeout + SETTLE_MARGIN, &question->clock);
}

static void match(struct question *question)
{
    struct sought *sought = mem_zalloc(question->count * sizeof *sought);
    size_t n = 0;

    for (struct inquiry *i = question->inquiries; i != NULL; i = i->next)
        sought[n++] = sought_of(question, i);
    lookup_match(&question->listing, sought, n);
    n = 0;
    for (struct inquiry *i = question->inquiries; i != NULL; i = i->next)
        question->options->answered(question->options->arg, i, &sought[n++], question->asked_at);
    free(sought);
    end(question);
}

/* ---- which messages are known ---- */

static enum pg_next known_read(void *arg, const struct pg_reply *reply)
{
    struct question *question = arg;

    if (reply->status != PG_OK) {
        fail(question, "PostgreSQL could not say which messages are known");
        return PG_FINISHED;
    }
    for (int row = 0; row < PQntuples(reply->results[0]); row++)
        question->listing.messages[pg_int4(reply->results[0], row, 0) - 1].taken = true;
    match(question);
    return PG_FINISHED;
}

static void read_known(struct question *question)
{
    struct pg_unit *unit = pg_unit_new(known_read, question);
    struct pg_array sids;

    pg_array_init(&sids, PG_TEXT);
    for (size_t i = 0; i < question->listing.count; i++)
        pg_array_add_text(&sids, question->listing.messages[i].sid);
    pg_unit_statement(unit, sql_reconcile_known);
    pg_unit_arrays(unit, &sids, 1);
    pg_submit(question->options->pg, unit);
}

/* ---- the list ---- */

static void ask_page(struct question *question, const char *path);

/*
 * Creation times are Twilio's clock, and how far that is from the database's its own answer says.
 * Without it nothing could be said about absence.
 */
static bool read_clock(struct question *question, const struct http_response *response)
{
    int64_t date = clock_parse_date(http_header_value(response, "date"));
    const struct db_clock *db_clock = question->options->clock;
    struct twilio_clock *clock = &question->clock;

    if (date == 0)
        return false;
    clock->now = date;
    clock->ahead_min = clock->now - db_clock_latest(db_clock, response->finished);
    clock->ahead_max = clock->now + CLOCK_SECOND - db_clock_earliest(db_clock, question->asked_at);
    return true;
}

/* Messages that are older than any of the attempts are not kept. */
static void set_oldest(struct question *question)
{
    question->listing.created_from = INT64_MAX;
    for (struct inquiry *i = question->inquiries; i != NULL; i = i->next) {
        int64_t from = sought_of(question, i).created_from;

        if (from < question->listing.created_from)
            question->listing.created_from = from;
    }
}

static void take_page(struct question *question, const struct http_response *response)
{
    const struct inquiry *first = question->inquiries;
    char *next;

    if (!listing_add_page(&question->listing, first->account_sid, first->to, response->body,
                          response->body_length, &next)) {
        fail(question, "Twilio's list of messages could not be read");
        return;
    }
    question->pages++;
    if (next == NULL || !listing_may_go_on(&question->listing))
        read_known(question);
    else if (question->pages < LIMIT_PAGES && question->listing.bytes < LIMIT_LIST_BYTES)
        ask_page(question, next);
    else
        fail(question, "Twilio's list of messages is too long");
    free(next);
}

static void on_page(void *arg, const struct http_response *response)
{
    struct question *question = arg;
    char why[160];

    if (response->result != HTTP_ANSWERED) {
        snprintf(why, sizeof why, "Twilio could not be asked: %s", response->error);
        fail(question, why);
    } else if (response->status != 200) {
        snprintf(why, sizeof why, "Twilio could not be asked: HTTP %d", response->status);
        fail(question, why);
    } else if (question->pages == 0 && !read_clock(question, response)) {
        fail(question, "Twilio's answer has no Date header");
    } else {
        if (question->pages == 0)
            set_oldest(question);
        take_page(question, response);
    }
}

static void ask_page(struct question *question, const char *path)
{
    const struct inquiry *first = question->inquiries;
    char *url = mem_printf("%s%s", question->options->twilio_base_url, path);
    struct http_request request = {
        .url = url,
        .user = first->user,
        .password = first->password,
        .start_by = CLOCK_FOREVER,
        .timeout = question->options->twilio_timeout,
        .response_max = LIMIT_PAGE_BYTES,
        .done = on_page,
        .arg = question,
    };

    http_send(question->options->http, &request);
    free(url);
}

void question_ask(struct question *question)
{
    char *path = lookup_path(question->inquiries->account_sid, question->inquiries->to);

    question->asked_at = clock_now();
    ask_page(question, path);
    free(path);
}

/* ---- making and freeing ---- */

struct question *question_new(const struct question_options *options, struct inquiry *inquiry)
{
    struct question *question = mem_zalloc(sizeof *question);

    question->options = options;
    question->inquiries = inquiry;
    question->count = 1;
    return question;
}

bool question_add(struct question *question, struct inquiry *inquiry)
{
    if (!inquiry_same_list(question->inquiries, inquiry))
        return false;
    inquiry->next = question->inquiries;
    question->inquiries = inquiry;
    question->count++;
    return true;
}

void question_free(struct question *question)
{
    while (question->inquiries != NULL) {
        struct inquiry *inquiry = question->inquiries;

        question->inquiries = inquiry->next;
        inquiry_free(inquiry);
    }
    listing_release(&question->listing);
    free(question);
}
