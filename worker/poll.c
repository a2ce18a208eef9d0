#include "worker/poll.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "sql.h"
#include "worker/destination.h"
#include "worker/limits.h"
#include "worker/outcome.h"
#include "worker/twilio.h"

/* A second's messages at a time; while there are fewer, it is looked less often, and costs less. */
#define INTERVAL     CLOCK_SECOND
#define INTERVAL_MAX (10 * CLOCK_SECOND)
#define LOOKS        6 /* in the first pause */
/* An account that is asked too much, says Twilio, is left alone; so many are remembered. */
#define BUSY_PAUSE (60 * CLOCK_SECOND)
#define BUSY_MAX   16
/* After no answer could be had: it is not the message's fault. */
#define LOST_PAUSE (10 * CLOCK_SECOND)
#define ANSWER_MAX ((size_t)64 << 10)

struct poll {
    struct poll_options options;
    struct event *timer;
    bool reading;          /* the query is on its way */
    struct asking *asking; /* being asked */
    int count;             /* of them */
    int wanted;            /* by the latest query */
    bool stopped;
    int64_t not_before; /* monotonic */
    struct {
        char sid[STATUS_SID_SIZE];
        int64_t until; /* monotonic */
    } busy[BUSY_MAX];  /* accounts; the latest overwrites the oldest */
    int busy_next;
    int64_t interval; /* of looks, while little is due */
};

/* One message that is being asked for. */
struct asking {
    struct poll *poll;
    struct status *status;     /* to be filled by the answer */
    struct redactor *redactor; /* for what it says */
    struct asking *prev, *next;
};

#define POLLS                                            \
    .name = "mms_status_polls_total", .type = "counter", \
    .help = "Messages asked for at Twilio, by how that went"

enum poll_result { POLL_ANSWERED, POLL_FAILED };

/* In the order of enum poll_result. */
static struct metric result_metrics[] = {
    {POLLS, .labels = {"result", "answered"}},
    {POLLS, .labels = {"result", "failed"}},
};

static void arm(struct poll *poll, int64_t interval)
{
    int64_t us = interval + backoff_jitter(interval / 5);
    struct timeval tv = {.tv_sec = us / CLOCK_SECOND, .tv_usec = us % CLOCK_SECOND};

    event_add(poll->timer, &tv);
}

/* ---- an answer ---- */

/* What belongs to a status; a body may be long, and is nobody's business here. */
static char *pick_parameters(const json_t *message)
{
    static const char *const names[] = {"status",    "error_code",   "error_message",
                                        "date_sent", "date_updated", "num_segments",
                                        "num_media", "price",        "price_unit"};
    json_t *picked = json_object();
    char *text;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        json_object_set(picked, names[i], json_object_get(message, names[i]));
    text = json_dumps(picked, JSON_COMPACT);
    json_decref(picked);
    return text;
}

static bool read_message(const json_t *message, struct status *status)
{
    const char *sid = json_member_string(message, "sid");
    const char *name = json_member_string(message, "status");
    const json_t *code = json_object_get(message, "error_code");

    if (sid == NULL || strcmp(sid, status->message_sid) != 0 || name == NULL || name[0] == '\0' ||
        strlen(name) >= sizeof status->name || !outcome_is_message_status(name))
        return false;
    snprintf(status->name, sizeof status->name, "%s", name);
    if (json_is_integer(code) && json_integer_value(code) > 0 && json_integer_value(code) < 1000000)
        status->error_code = (int)json_integer_value(code);
    status->error_message = status_text(json_member_string(message, "error_message"));
    status->from = status_text(json_member_string(message, "from"));
    status->to = status_text(json_member_string(message, "to"));
    status->messaging_service_sid =
        status_text(json_member_string(message, "messaging_service_sid"));
    status->parameters = pick_parameters(message);
    return true;
}

bool poll_read(const char *json, size_t length, struct status *ret_status)
{
    json_t *message = NULL;
    bool good;

    json_parse(json, length, &message, NULL, 0);
    good = read_message(message, ret_status);
    json_decref(message);
    return good;
}

static void asking_free(struct asking *asking)
{
    struct poll *poll = asking->poll;

    if (asking->prev != NULL)
        asking->prev->next = asking->next;
    else
        poll->asking = asking->next;
    if (asking->next != NULL)
        asking->next->prev = asking->prev;
    poll->count--;
    status_free(asking->status);
    redactor_free(asking->redactor);
    free(asking);
}

static bool is_busy(const struct poll *poll, const char *account_sid)
{
    for (int i = 0; i < BUSY_MAX; i++) {
        if (poll->busy[i].until > clock_now() && strcmp(poll->busy[i].sid, account_sid) == 0)
            return true;
    }
    return false;
}

static void set_busy(struct poll *poll, const char *account_sid)
{
    int place = poll->busy_next++ % BUSY_MAX;

    snprintf(poll->busy[place].sid, sizeof poll->busy[place].sid, "%s", account_sid);
    poll->busy[place].until = clock_now() + BUSY_PAUSE;
}

static void on_answer(void *arg, const struct http_response *response)
{
    struct asking *asking = arg;
    struct poll *poll = asking->poll;
    bool good = response->result == HTTP_ANSWERED && response->status == 200 &&
                poll_read(response->body, response->body_length, asking->status);

    result_metrics[good ? POLL_ANSWERED : POLL_FAILED].value++;
    if (good) {
        status_redact(asking->status, asking->redactor);
        statuses_add(poll->options.statuses, asking->status);
        asking->status = NULL;
    } else {
        log_debug("status not learnt, asked again later",
                  log_str("message_sid", asking->status->message_sid),
                  log_int("http_status", response->status));
        if (response->status == 429)
            set_busy(poll, asking->status->account_sid);
        else if (response->result == HTTP_NOT_SENT)
            poll->not_before = clock_now() + LOST_PAUSE;
    }
    asking_free(asking);
}

/* ---- asking ---- */

/* The columns of poll.sql. */
enum column { C_DESTINATION_ID, C_DELIVERY_ID, C_ATTEMPT, C_MESSAGE_SID, C_TYPE, C_CONFIG };

static struct asking *new_asking(struct poll *poll, const PGresult *rows, int row,
                                 const struct destination *destination)
{
    struct asking *asking = mem_zalloc(sizeof *asking);
    struct status *status = mem_zalloc(sizeof *status);

    status->destination_id = mem_strdup(pg_text(rows, row, C_DESTINATION_ID));
    status->delivery_id = pg_int8(rows, row, C_DELIVERY_ID);
    status->attempt = pg_int4(rows, row, C_ATTEMPT);
    status->source = STATUS_POLL;
    snprintf(status->account_sid, sizeof status->account_sid, "%s", destination->account_sid);
    snprintf(status->message_sid, sizeof status->message_sid, "%s",
             pg_text(rows, row, C_MESSAGE_SID));
    asking->poll = poll;
    asking->status = status;
    asking->redactor = twilio_redactor(destination);
    asking->next = poll->asking;
    if (poll->asking != NULL)
        poll->asking->prev = asking;
    poll->asking = asking;
    poll->count++;
    return asking;
}

static void ask(struct poll *poll, const PGresult *rows, int row)
{
    struct destination destination;
    struct asking *asking;
    char why[256];

    /* Who isn't asked for now has a later turn already. */
    if (destination_parse(pg_text(rows, row, C_TYPE), pg_text(rows, row, C_CONFIG), &destination,
                          why, sizeof why) &&
        destination_reveal(&destination, poll->options.secrets, why, sizeof why) &&
        !is_busy(poll, destination.account_sid)) {
        char *url;

        asking = new_asking(poll, rows, row, &destination);
        url =
            mem_printf("%s/2010-04-01/Accounts/%s/Messages/%s.json", poll->options.twilio_base_url,
                       destination.account_sid, asking->status->message_sid);
        http_send(poll->options.http, &(struct http_request){
                                          .url = url,
                                          .user = destination.user,
                                          .password = destination.password,
                                          .start_by = CLOCK_FOREVER,
                                          .timeout = poll->options.twilio_timeout,
                                          .response_max = ANSWER_MAX,
                                          .done = on_answer,
                                          .arg = asking,
                                      });
        free(url);
    }
    destination_release(&destination);
}

static enum pg_next taken(void *arg, const struct pg_reply *reply)
{
    struct poll *poll = arg;

    poll->reading = false;
    if (reply->status != PG_OK)
        return PG_FINISHED;
    for (int row = 0; row < PQntuples(reply->results[0]); row++)
        ask(poll, reply->results[0], row);
    if (PQntuples(reply->results[0]) == poll->wanted && !poll->stopped)
        arm(poll, INTERVAL);
    return PG_FINISHED;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct poll *poll = arg;
    struct pg_unit *unit;

    (void)fd;
    (void)what;
    arm(poll, poll->interval);
    /* What is slow to answer isn't asked more. */
    if (poll->reading || poll->count >= poll->options.rate || clock_now() < poll->not_before ||
        !pg_is_up(poll->options.pg) || !statuses_has_room(poll->options.statuses))
        return;
    poll->reading = true;
    unit = pg_unit_new(taken, poll);
    pg_unit_statement(unit, sql_poll);
    poll->wanted = (int)poll->options.rate - poll->count;
    pg_unit_int8(unit, poll->wanted);
    pg_unit_int8(unit, poll->options.delay);
    pg_unit_int8(unit, LIMIT_CONFIG_BYTES);
    pg_submit(poll->options.pg, unit);
}

void poll_stop(struct poll *poll)
{
    poll->stopped = true;
    event_del(poll->timer);
}

struct poll *poll_open(const struct poll_options *options)
{
    struct poll *poll = mem_zalloc(sizeof *poll);

    poll->options = *options;
    poll->interval = options->delay / LOOKS;
    if (poll->interval < INTERVAL)
        poll->interval = INTERVAL;
    if (poll->interval > INTERVAL_MAX)
        poll->interval = INTERVAL_MAX;
    poll->timer = evtimer_new(options->base, on_timer, poll);
    metrics_register_all(result_metrics, sizeof result_metrics / sizeof result_metrics[0]);
    if (options->rate > 0)
        arm(poll, poll->interval);
    return poll;
}

void poll_close(struct poll *poll)
{
    if (poll == NULL)
        return;
    while (poll->asking != NULL)
        asking_free(poll->asking); /* NOLINT(clang-analyzer-unix.Malloc) */
    event_free(poll->timer);
    free(poll);
}
