#include "worker/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg_value.h"
#include "sql.h"
#include "worker/limits.h"
#include "worker/sweep.h"

/*
 * What isn't published this long after it was stored is the sweep's. Longer than the producer
 * tries (message.timeout.ms), so that nothing is published twice by one worker.
 */
#define SWEEP_AGE      (15 * CLOCK_SECOND)
#define SWEEP_INTERVAL (5 * CLOCK_SECOND)

/* Results of one kind, which are swept in the same way. */
struct part {
    struct outbox *outbox;
    const char *sql;
    void (*publish)(struct outbox *outbox, const PGresult *rows, int row);
    struct sweep sweep;
    bool asking; /* the query is on its way */
    bool again;  /* look again when everything is settled: the batch was full */
};

struct outbox {
    struct outbox_options options;
    struct event *timer;
    struct part attempts, statuses;
    bool asking_rejected; /* the query is on its way */
    bool rejected_again;  /* look again when everything is settled */
    struct sweep rejected_sweep;
    int64_t rejected_from; /* database clock: published before this, but for what others left */
    size_t unsettled;      /* of what was read */
    bool even;             /* of the sweep's turns */
    bool hold, stopped;
};

static void arm(struct outbox *outbox)
{
    int64_t us = SWEEP_INTERVAL + backoff_jitter(SWEEP_INTERVAL / 5);
    struct timeval tv = {.tv_sec = us / CLOCK_SECOND, .tv_usec = us % CLOCK_SECOND};

    event_add(outbox->timer, &tv);
}

/* ---- rows to results ---- */

static void sweep_part(struct part *part);

static void on_settled(void *arg, bool published)
{
    struct outbox *outbox = arg;

    outbox->unsettled--;
    if (!published) {
        /* Otherwise the sweep comes round. */
        outbox->rejected_again = results_learnt_limit(outbox->options.results);
        outbox->attempts.again = outbox->statuses.again = false;
    }
    if (outbox->unsettled > 0)
        return;
    if (outbox->attempts.again)
        sweep_part(&outbox->attempts);
    if (outbox->statuses.again)
        sweep_part(&outbox->statuses);
    if (outbox->rejected_again)
        outbox_rejected(outbox);
}

static struct mark *new_mark(struct outbox *outbox, enum mark_kind kind, const char *id,
                             int64_t number, int which)
{
    struct mark *mark = mark_new(kind, id, number, which);

    mark->settled = on_settled;
    mark->arg = outbox;
    outbox->unsettled++;
    return mark;
}

/* The columns of outbox_attempts.sql. */
enum attempt_column {
    A_DESTINATION_ID,
    A_DELIVERY_ID,
    A_ATTEMPT,
    A_RESULT_ID,
    A_OUTCOME,
    A_REASON,
    A_FINAL,
    A_HTTP_STATUS,
    A_MESSAGE_SID,
    A_MESSAGE_STATUS,
    A_ERROR_CODE,
    A_ERROR_MESSAGE,
    A_NEXT_ATTEMPT_AT,
    A_WORKER,
    A_FINISHED_AT,
    A_EVENT_ID,
    A_CONNECTION_ID,
    A_TRACEPARENT,
    A_TRACESTATE
};

static int64_t time_or_none(const PGresult *rows, int row, int column)
{
    return pg_is_null(rows, row, column) ? 0 : pg_time(rows, row, column);
}

static void publish_attempt(struct outbox *outbox, const PGresult *rows, int row)
{
    size_t length;
    const char *id = pg_bytes(rows, row, A_RESULT_ID, &length);
    const struct result result = {
        .result_id = (const unsigned char *)id,
        .kind = "attempt",
        .event_id = pg_text(rows, row, A_EVENT_ID),
        .destination_id = pg_text(rows, row, A_DESTINATION_ID),
        .connection_id = pg_text(rows, row, A_CONNECTION_ID),
        .attempt = pg_int4(rows, row, A_ATTEMPT),
        .outcome = pg_text(rows, row, A_OUTCOME),
        .final = PQgetvalue(rows, row, A_FINAL)[0] != 0,
        .reason = pg_text(rows, row, A_REASON),
        .http_status = pg_int4(rows, row, A_HTTP_STATUS),
        .message_sid = pg_text(rows, row, A_MESSAGE_SID),
        .message_status = pg_text(rows, row, A_MESSAGE_STATUS),
        .error_code = pg_int4(rows, row, A_ERROR_CODE),
        .error_message = pg_text(rows, row, A_ERROR_MESSAGE),
        .next_attempt_at = time_or_none(rows, row, A_NEXT_ATTEMPT_AT),
        .worker = pg_text(rows, row, A_WORKER),
        .at = pg_time(rows, row, A_FINISHED_AT),
    };
    struct mark *mark = new_mark(outbox, MARK_ATTEMPT, result.destination_id,
                                 pg_int8(rows, row, A_DELIVERY_ID), result.attempt);

    memcpy(mark->result_id, id, sizeof mark->result_id);
    results_send(outbox->options.results, &result, pg_text(rows, row, A_TRACEPARENT),
                 pg_text(rows, row, A_TRACESTATE), mark);
}

/* The columns of outbox_statuses.sql; the first of them are those of statuses.sql. */
enum status_column {
    S_DESTINATION_ID,
    S_DELIVERY_ID,
    S_ATTEMPT,
    S_MESSAGE_SID,
    S_STATUS,
    S_FINAL,
    S_ERROR_CODE,
    S_ERROR_MESSAGE,
    S_REASON,
    S_RESULT_ID,
    S_RECEIVED_AT,
    S_EVENT_ID,
    S_CONNECTION_ID,
    S_TRACEPARENT,
    S_TRACESTATE,
    S_WORKER
};

/* Takes over `mark`, which gets what it lacks. */
static void send_status(struct results *results, const PGresult *rows, int row, const char *worker,
                        struct mark *mark)
{
    size_t length;
    const struct result result = {
        .result_id = (const unsigned char *)pg_bytes(rows, row, S_RESULT_ID, &length),
        .kind = "status",
        .event_id = pg_text(rows, row, S_EVENT_ID),
        .destination_id = pg_text(rows, row, S_DESTINATION_ID),
        .connection_id = pg_text(rows, row, S_CONNECTION_ID),
        .attempt = pg_int4(rows, row, S_ATTEMPT),
        .outcome = "accepted",
        .final = pg_int4(rows, row, S_FINAL) != 0,
        .reason = pg_text(rows, row, S_REASON),
        .message_sid = pg_text(rows, row, S_MESSAGE_SID),
        .message_status = pg_text(rows, row, S_STATUS),
        .error_code = pg_int4(rows, row, S_ERROR_CODE),
        .error_message = pg_text(rows, row, S_ERROR_MESSAGE),
        .worker = worker,
        .at = pg_time(rows, row, S_RECEIVED_AT),
    };

    mark->message_sid = mem_strdup(result.message_sid);
    mark->status = mem_strdup(result.message_status);
    results_send(results, &result, pg_text(rows, row, S_TRACEPARENT),
                 pg_text(rows, row, S_TRACESTATE), mark);
}

void outbox_publish_status(struct results *results, const PGresult *rows, int row,
                           const char *worker)
{
    send_status(results, rows, row, worker,
                mark_new(MARK_STATUS, pg_text(rows, row, S_DESTINATION_ID),
                         pg_int8(rows, row, S_DELIVERY_ID), pg_int4(rows, row, S_ATTEMPT)));
}

static void publish_status(struct outbox *outbox, const PGresult *rows, int row)
{
    send_status(outbox->options.results, rows, row, pg_text(rows, row, S_WORKER),
                new_mark(outbox, MARK_STATUS, pg_text(rows, row, S_DESTINATION_ID),
                         pg_int8(rows, row, S_DELIVERY_ID), pg_int4(rows, row, S_ATTEMPT)));
}

/* ---- the sweep ---- */

static enum pg_next part_read(void *arg, const struct pg_reply *reply)
{
    struct part *part = arg;
    int count;

    part->asking = false;
    part->sweep.whole_at = reply->status == PG_OK ? part->sweep.whole_at : 0;
    if (reply->status != PG_OK || part->outbox->stopped)
        return PG_FINISHED;
    count = PQntuples(reply->results[0]);
    part->again = count >= LIMIT_SWEEP; /* what is found brings others along */
    if (part->again)
        part->sweep.whole_at = 0;
    if (count > 0)
        log_info("publishing results that were left over", log_int("count", count));
    for (int row = 0; row < count; row++)
        part->publish(part->outbox, reply->results[0], row);
    return PG_FINISHED;
}

static void sweep_part(struct part *part)
{
    struct outbox *outbox = part->outbox;
    struct pg_unit *unit;

    part->again = false;
    if (part->asking || outbox->stopped || outbox->hold)
        return;
    part->asking = true;
    unit = pg_unit_new(part_read, part);
    pg_unit_statement(unit, part->sql);
    pg_unit_int8(unit, SWEEP_AGE);
    pg_unit_int8(unit, LIMIT_SWEEP);
    pg_unit_int8(unit, sweep_reach(&part->sweep));
    pg_submit(outbox->options.pg, unit);
}

/* ---- rejected events ---- */

/* The columns of outbox_rejected.sql. */
enum rejected_column {
    R_TOPIC,
    R_PARTITION,
    R_OFFSET,
    R_RESULT_ID,
    R_EVENT_ID,
    R_DESTINATION_ID,
    R_CONNECTION_ID,
    R_KEY,
    R_BYTES,
    R_REASON,
    R_DETAIL,
    R_TRACEPARENT,
    R_TRACESTATE,
    R_WORKER,
    R_REJECTED_AT
};

static void send_dead_letter(struct outbox *outbox, const PGresult *rows, int row,
                             struct mark *mark)
{
    const char *topic = pg_text(rows, row, R_TOPIC);
    char *source = mem_printf("%s/%d/%lld", topic, pg_int4(rows, row, R_PARTITION),
                              (long long)pg_int8(rows, row, R_OFFSET));
    struct kafka_header headers[] = {
        {"mms-reason", pg_text(rows, row, R_REASON)},
        {"mms-detail", pg_text(rows, row, R_DETAIL)},
        {"mms-source", source},
        {"mms-truncated", NULL},
        {"traceparent", pg_text(rows, row, R_TRACEPARENT)},
        {"tracestate", pg_text(rows, row, R_TRACESTATE)},
        {NULL, NULL},
    };
    struct kafka_record record = {.headers = headers};

    record.key = pg_bytes(rows, row, R_KEY, &record.key_length);
    record.value = pg_bytes(rows, row, R_BYTES, &record.value_length);
    results_send_dead_letter(outbox->options.results, &record, &headers[3], mark);
    free(source);
}

static void publish_rejected(struct outbox *outbox, const PGresult *rows, int row)
{
    size_t length;
    const struct result result = {
        .result_id = (const unsigned char *)pg_bytes(rows, row, R_RESULT_ID, &length),
        .kind = "rejection",
        .event_id = pg_text(rows, row, R_EVENT_ID),
        .destination_id = pg_text(rows, row, R_DESTINATION_ID),
        .connection_id = pg_text(rows, row, R_CONNECTION_ID),
        .outcome = "rejected",
        .final = true,
        .reason = pg_text(rows, row, R_REASON),
        .error_message = pg_text(rows, row, R_DETAIL),
        .worker = pg_text(rows, row, R_WORKER),
        .at = pg_time(rows, row, R_REJECTED_AT),
    };
    struct mark *mark = new_mark(outbox, MARK_REJECTED, pg_text(rows, row, R_TOPIC),
                                 pg_int8(rows, row, R_OFFSET), pg_int4(rows, row, R_PARTITION));

    mark->records = 2;
    results_send(outbox->options.results, &result, pg_text(rows, row, R_TRACEPARENT),
                 pg_text(rows, row, R_TRACESTATE), mark);
    send_dead_letter(outbox, rows, row, mark);
}

static enum pg_next rejected_read(void *arg, const struct pg_reply *reply)
{
    struct outbox *outbox = arg;
    int count;

    outbox->asking_rejected = false;
    if (reply->status != PG_OK || outbox->stopped || outbox->hold)
        return PG_FINISHED;
    count = PQntuples(reply->results[0]);
    if (count > 0) {
        outbox->rejected_again = true; /* there may be more: looked for when these are settled */
        outbox->rejected_from = pg_time(reply->results[0], 0, R_REJECTED_AT);
    }
    for (int row = 0; row < count; row++)
        publish_rejected(outbox, reply->results[0], row);
    return PG_FINISHED;
}

/*
 * One round at a time: a row is read again as long as it isn't marked. A round begins where the one
 * before it did, or it would walk through all that was published in a flood.
 */
void outbox_rejected(struct outbox *outbox)
{
    struct pg_unit *unit;
    char from[CLOCK_TEXT_SIZE];

    if (outbox->hold || outbox->stopped)
        return;
    outbox->rejected_again = outbox->asking_rejected || outbox->unsettled > 0;
    if (outbox->rejected_again)
        return;
    outbox->asking_rejected = true;
    if (sweep_is_whole(&outbox->rejected_sweep))
        outbox->rejected_from = 0;
    unit = pg_unit_new(rejected_read, outbox);
    pg_unit_statement(unit, sql_outbox_rejected);
    pg_unit_int8(unit, SWEEP_AGE);
    pg_unit_int8(unit, LIMIT_SWEEP);
    pg_unit_int8(unit, LIMIT_REJECTED_SWEEP);
    pg_unit_text(unit, outbox->options.worker);
    pg_unit_text(unit, clock_format(outbox->rejected_from, from));
    pg_submit(outbox->options.pg, unit);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct outbox *outbox = arg;

    (void)fd;
    (void)what;
    arm(outbox);
    results_look(outbox->options.results);
    if (outbox->hold || outbox->stopped || pg_pending(outbox->options.pg) > 8)
        return;
    if (outbox->unsettled == 0) {
        sweep_part(&outbox->attempts);
        /* Every other time: an idle worker should cost nothing. */
        outbox->even = !outbox->even;
        if (outbox->even)
            sweep_part(&outbox->statuses);
    }
    outbox_rejected(outbox);
}

void outbox_hold(struct outbox *outbox, bool hold)
{
    outbox->hold = hold;
    outbox->attempts.sweep.whole_at = 0;
    outbox->statuses.sweep.whole_at = 0;
}

void outbox_stop(struct outbox *outbox)
{
    outbox->stopped = true;
    event_del(outbox->timer);
}

struct outbox *outbox_open(const struct outbox_options *options)
{
    struct outbox *outbox = mem_zalloc(sizeof *outbox);

    outbox->options = *options;
    outbox->attempts =
        (struct part){.outbox = outbox, .sql = sql_outbox_attempts, .publish = publish_attempt};
    outbox->statuses =
        (struct part){.outbox = outbox, .sql = sql_outbox_statuses, .publish = publish_status};
    outbox->timer = evtimer_new(options->base, on_timer, outbox);
    arm(outbox);
    return outbox;
}

void outbox_close(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    event_free(outbox->timer);
    free(outbox);
}
