#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"
#include "sql.h"
#include "worker/commands/commands.h"
#include "worker/commands/db.h"
#include "worker/commands/table.h"

#define LIMIT_DEFAULT "50"
#define LIMIT_MAX     1000000

/* Attempts come into the table in another order than they end, by this at most but for outages. */
#define OVERLAP      "15"
#define FOLLOW_LIMIT "20000"

static const struct command_option options[] = {
    {"event", "ID", "only of this event"},
    {"destination", "ID", "only of this destination"},
    {"outcome", "accepted|retry|failed|unknown|expired", "only of this outcome"},
    {"reason", "REASON", "such as RECIPIENT_OPTED_OUT"},
    {"since", "WHEN", "a duration such as 15m, 24h, 7d, or a moment (RFC 3339)"},
    {"limit", "N", "the latest N; " LIMIT_DEFAULT " unless told"},
    {"follow", NULL, "go on with those that come in, until Ctrl-C"},
    {"json", NULL, "one JSON object a line, with every column of mms.attempt_history"},
    {.name = NULL},
};

static const struct column columns[] = {
    {"finished_at", NULL, 0, false},
    {"event_id", "event", 48, false},
    {"destination_id", "destination", 48, false},
    {"attempt", "#", 0, true},
    {"outcome", NULL, 0, false},
    {"reason", NULL, 0, false},
    {"http_status", "http", 0, true},
    {"error_code", "code", 0, true},
    {"message_status", "message", 0, false},
    {.name = NULL},
};

static const char *const outcomes[] = {"accepted", "retry", "failed", "unknown", "expired", NULL};

static bool is_outcome(const char *word)
{
    for (int i = 0; outcomes[i] != NULL; i++) {
        if (strcmp(word, outcomes[i]) == 0)
            return true;
    }
    return false;
}

/* The latest ones that the options choose, in the order of time. */
static PGresult *query(struct db *db, const struct arguments *arguments, const char *since,
                       const char *limit)
{
    const char *event = argument(arguments, "event");
    const char *const parameters[] = {argument(arguments, "destination"),
                                      argument(arguments, "outcome"),
                                      argument(arguments, "reason"),
                                      since,
                                      limit,
                                      event};

    return table_query(db, event != NULL ? sql_attempts_of_event : sql_attempts,
                       event != NULL ? 6 : 5, parameters);
}

/* ---- following ---- */

static int compare_texts(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

static const char *result_id(const PGresult *rows, int row)
{
    return PQgetvalue(rows, row, PQfnumber(rows, "result_id"));
}

/* The result_ids of `rows`, sorted; borrowed from them, the list is the caller's. */
static const char **sorted_ids(const PGresult *rows)
{
    size_t count = (size_t)PQntuples(rows);
    const char **ids = mem_zalloc(sizeof *ids * (count + 1));

    for (size_t i = 0; i < count; i++)
        ids[i] = result_id(rows, (int)i);
    qsort(ids, count, sizeof *ids, compare_texts);
    return ids;
}

/* Those of `rows` that are not among `before`. */
static PGresult *newcomers(const PGresult *rows, const PGresult *before)
{
    PGresult *result = PQcopyResult(rows, PG_COPYRES_ATTRS);
    const char **seen = sorted_ids(before);

    for (int row = 0; row < PQntuples(rows); row++) {
        const char *id = result_id(rows, row);

        if (bsearch(&id, seen, (size_t)PQntuples(before), sizeof *seen, compare_texts) == NULL)
            table_copy_row(result, rows, row);
    }
    free(seen);
    return result;
}

/* A moment of the database's clock, OVERLAP seconds ago; owned by the caller. */
static char *moment_ago(struct db *db)
{
    PGresult *row = db_query(db, "select now() - interval '" OVERLAP " seconds'", 0, NULL);
    char *moment = row != NULL ? mem_strdup(PQgetvalue(row, 0, 0)) : NULL;

    PQclear(row);
    return moment;
}

/* Goes on after `seen`, which it takes over, until it is interrupted or the database goes away. */
static int follow(struct db *db, const struct arguments *arguments, PGresult *seen,
                  struct table_widths *widths)
{
    static const struct timespec pause = {.tv_sec = 1};

    while (seen != NULL) {
        char *since = moment_ago(db);
        PGresult *rows = since != NULL ? query(db, arguments, since, FOLLOW_LIMIT) : NULL;

        if (rows != NULL) {
            PGresult *fresh = newcomers(rows, seen);

            table_print_part(arguments, fresh, columns, widths);
            PQclear(fresh);
        }
        free(since);
        PQclear(seen);
        seen = rows;
        if (ferror(stdout) != 0)
            break; /* whoever read this is gone */
        if (seen != NULL)
            nanosleep(&pause, NULL);
    }
    PQclear(seen);
    return COMMAND_FAILED;
}

/* ---- the command ---- */

static int show(struct db *db, const struct arguments *arguments, const char *limit)
{
    struct table_widths widths = {{0}};
    PGresult *rows;
    char *since;
    int status = db_since(db, &since);

    if (status != COMMAND_DONE)
        return status;
    rows = query(db, arguments, since, limit);
    free(since);
    if (rows == NULL)
        return COMMAND_FAILED;
    table_print_part(arguments, rows, columns, &widths);
    if (PQntuples(rows) == 0 && argument(arguments, "json") == NULL)
        fprintf(stderr, "(no attempts)\n");
    if (argument(arguments, "follow") != NULL)
        return follow(db, arguments, rows, &widths);
    PQclear(rows);
    return COMMAND_DONE;
}

static int attempts(const struct arguments *arguments)
{
    const char *outcome = argument(arguments, "outcome");
    const char *limit = argument(arguments, "limit");
    struct db *db;
    int64_t number;
    int status;

    if (outcome != NULL && !is_outcome(outcome))
        return command_wrong(arguments,
                             "--outcome: '%s' is none, expected accepted, retry, failed, "
                             "unknown or expired",
                             outcome);
    if (limit != NULL && !argument_integer(arguments, "limit", 1, LIMIT_MAX, &number))
        return COMMAND_WRONG;
    db = db_open(arguments, DB_READ);
    status =
        db != NULL ? show(db, arguments, limit != NULL ? limit : LIMIT_DEFAULT) : COMMAND_FAILED;
    db_close(db);
    return status;
}

const struct command command_attempts = {
    "attempts",
    NULL,
    "the history of attempts, latest last",
    "Shows the latest attempts, of all destinations or as the options choose: when each ended,\n"
    "its number, its outcome and why, and what became of the message at Twilio. Times are UTC.\n"
    "An event's replays count on from its last attempt.\n"
    "--follow shows what comes in within " OVERLAP
    " seconds after its end; after an outage look again\n"
    "without it.\n",
    options,
    COMMAND_NEEDS_DATABASE,
    attempts,
    false,
    "mms_reader",
};
