#include "worker/opt_outs.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "sql.h"

struct opt_outs_check {
    opt_outs_checked *checked;
    void *arg;
    struct delivery **deliveries;
    size_t count, capacity;
};

struct opt_outs_check *opt_outs_check_new(opt_outs_checked *checked, void *arg)
{
    struct opt_outs_check *check = mem_zalloc(sizeof *check);

    check->checked = checked;
    check->arg = arg;
    return check;
}

static void check_free(struct opt_outs_check *check)
{
    free(check->deliveries);
    free(check);
}

void opt_outs_add(struct opt_outs_check *check, struct delivery *delivery)
{
    if (check->count == check->capacity) {
        check->capacity = check->capacity > 0 ? check->capacity * 2 : 16;
        check->deliveries =
            mem_realloc(check->deliveries, check->capacity * sizeof(struct delivery *));
    }
    check->deliveries[check->count++] = delivery;
}

static enum pg_next answered(void *arg, const struct pg_reply *reply)
{
    struct opt_outs_check *check = arg;
    const PGresult *rows;

    /* Too late for the slot in the end: then the sender gives it back. */
    if (reply->status == PG_LOST || (reply->status == PG_FAILED && reply->transient))
        return PG_REPEAT;
    /* Who can't be asked about is sent to: Twilio will refuse it. */
    rows = reply->status == PG_OK ? reply->results[0] : NULL;
    for (int row = 0; rows != NULL && row < PQntuples(rows); row++) {
        size_t place = (size_t)pg_int4(rows, row, 0) - 1;

        check->checked(check->arg, check->deliveries[place], pg_time(rows, row, 1));
        check->deliveries[place] = NULL;
    }
    for (size_t i = 0; i < check->count; i++) {
        if (check->deliveries[i] != NULL)
            check->checked(check->arg, check->deliveries[i], 0);
    }
    check_free(check);
    return PG_FINISHED;
}

void opt_outs_check(struct opt_outs_check *check, struct pg *pg)
{
    struct pg_array requests;
    struct pg_unit *unit;

    if (check->count == 0) {
        check_free(check);
        return;
    }
    pg_array_init(&requests, PG_JSON);
    for (size_t i = 0; i < check->count; i++)
        pg_array_add_text(&requests, check->deliveries[i]->request.evidence);
    unit = pg_unit_new(answered, check);
    pg_unit_statement(unit, sql_opt_outs);
    pg_unit_arrays(unit, &requests, 1);
    pg_submit(pg, unit);
}

void opt_outs_refuse(struct verdict *ret_verdict, int64_t since)
{
    char when[CLOCK_TEXT_SIZE], why[256];

    snprintf(why, sizeof why,
             "the recipient opted out from this sender (Twilio's error 21610, %s); not sent while "
             "mms.opt_outs has a row of it",
             clock_format(since, when));
    outcome_refuse(ret_verdict, OUTCOME_FAILED, SCOPE_MESSAGE, "RECIPIENT_OPTED_OUT", why);
}
