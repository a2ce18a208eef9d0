#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "sql.h"
#include "worker/commands/client.h"
#include "worker/commands/commands.h"
#include "worker/commands/db.h"
#include "worker/commands/table.h"

#define BATCH      500
#define BATCH_TEXT "500"
/* Of rejected events, which may have a MiB each. */
#define REJECTED      8
#define REJECTED_TEXT "8"

static const struct command_option options[] = {
    {"event", "ID", "this event, at every destination or the one of --destination"},
    {"destination", "ID", "events of this destination; with --since"},
    {"since", "WHEN", "those that ended since: 15m, 24h, 7d, or a moment (RFC 3339)"},
    {"outcome", "failed|expired|accepted|unknown|rejected", "those that ended so"},
    {"reason", "REASON", "only those that ended with this reason"},
    {"dry-run", NULL, "show what would be replayed, and do nothing"},
    {"json", NULL, "one JSON object a line for each"},
    {.name = NULL},
};

/* What may be replayed, as PostgreSQL arrays of states. */
static const struct {
    const char *outcome;
    const char *states;
} choices[] = {
    {"failed", "{failed}"},   {"expired", "{expired}"}, {"accepted", "{accepted}"},
    {"unknown", "{unknown}"}, {"rejected", "{}"},       {NULL, "{failed,expired}"},
};

static const struct column columns[] = {
    {"event_id", "event", 48, false},   {"destination_id", "destination", 48, false},
    {"state", NULL, 0, false},          {"reason", NULL, 0, false},
    {"finished_at", "ended", 0, false}, {.name = NULL},
};

static const struct column rejected_columns[] = {
    {"event_id", "event", 48, false},
    {"destination_id", "destination", 48, false},
    {"topic", NULL, 48, false},
    {"partition", "part", 0, true},
    {"offset", NULL, 0, true},
    {"reason", NULL, 0, false},
    {"rejected_at", "rejected", 0, false},
    {.name = NULL},
};

/* One run of the command. */
struct replay {
    const struct arguments *arguments;
    struct db *db;
    const char *event;
    const char *destination;
    const char *reason;
    const char *states;
    bool dry_run;
    char *since;
    char *until;
    int64_t count; /* replayed, or would be */
    int64_t raced; /* somebody else was quicker, or the destination is gone */
    struct table_widths widths;
};

/* ---- deliveries ---- */

/* The delivery_ids of rows [from, to) as a PostgreSQL array; owned by the caller. */
static char *ids_of(const PGresult *rows, int from, int to)
{
    struct buf ids;

    buf_init(&ids, SIZE_MAX);
    for (int row = from; row < to; row++) {
        buf_add_char(&ids, row == from ? '{' : ',');
        buf_add_string(&ids, db_text(rows, row, "delivery_id"));
    }
    buf_add_char(&ids, '}');
    return buf_detach(&ids);
}

/* In one transaction: new series, and the destination woken. How many; -1 after a complaint. */
static int begin_series(struct db *db, const char *destination, const char *ids)
{
    char *array = db_text_array(&destination, 1);
    PGresult *locked = NULL, *begun = NULL, *woken = NULL;
    int count = -1;

    if (db_begin(db)) {
        locked = db_query(db, sql_intake_lock, DB_PARAMETERS(array));
        begun = locked != NULL ? db_query(db, sql_replay, DB_PARAMETERS(destination, ids)) : NULL;
        woken = begun != NULL ? db_query(db, sql_intake_wake, DB_PARAMETERS(array)) : NULL;
        if (woken != NULL && db_commit(db))
            count = PQntuples(begun);
    }
    PQclear(locked);
    PQclear(begun);
    PQclear(woken);
    free(array);
    return count;
}

/* Rows [from, to), all of one destination. */
static bool replay_rows(struct replay *replay, const PGresult *rows, int from, int to)
{
    char *ids;
    int begun;

    if (from == to)
        return true;
    if (replay->dry_run) {
        replay->count += to - from;
        return true;
    }
    ids = ids_of(rows, from, to);
    begun = begin_series(replay->db, db_text(rows, from, "destination_id"), ids);
    free(ids);
    if (begun < 0)
        return false;
    replay->count += begun;
    replay->raced += to - from - begun;
    return true;
}

/* The name of a state as `--outcome` has it is the state's own. */
static bool is_chosen(const struct replay *replay, const PGresult *rows, int row)
{
    const char *state = db_text(rows, row, "state");
    const char *reason = db_text(rows, row, "reason");

    if (replay->reason != NULL && (reason == NULL || strcmp(reason, replay->reason) != 0))
        return false;
    if (strcmp(state, "unknown") == 0 && db_text(rows, row, "left_to_a_person")[0] != 't')
        return false;
    return strstr(replay->states, state) != NULL;
}

/* Why a series of the event isn't replayed, and what would. */
static void explain(const struct replay *replay, const PGresult *rows, int row)
{
    const char *state = db_text(rows, row, "state");
    const char *what = "is not over yet: it is sent anyway";

    if (strcmp(state, "unknown") == 0)
        what = db_text(rows, row, "left_to_a_person")[0] == 't'
                   ? "may have been sent; look into Twilio's log, then --outcome unknown sends it "
                     "again"
                   : "may have been sent and is still looked up: no replay before that is over";
    else if (strcmp(state, "accepted") == 0)
        what = "was taken by Twilio; --outcome accepted sends it once more";
    else if (strcmp(state, "failed") == 0 || strcmp(state, "expired") == 0)
        what = "is not what --outcome and --reason choose";
    command_failed(replay->arguments, "event '%s' at '%s': %s: %s", replay->event,
                   db_text(rows, row, "destination_id"), state, what);
}

static int replay_event(struct replay *replay)
{
    PGresult *rows = table_query(replay->db, sql_replay_of_event,
                                 DB_PARAMETERS(replay->event, replay->destination));
    PGresult *chosen;
    bool ok = rows != NULL;

    if (!ok)
        return COMMAND_FAILED;
    chosen = PQcopyResult(rows, PG_COPYRES_ATTRS);
    for (int row = 0; row < PQntuples(rows) && ok; row++) {
        if (!is_chosen(replay, rows, row)) {
            explain(replay, rows, row);
            continue;
        }
        table_copy_row(chosen, rows, row);
        ok = replay_rows(replay, rows, row, row + 1);
    }
    if (ok && PQntuples(chosen) > 0)
        table_print(replay->arguments, chosen, columns);
    if (PQntuples(rows) == 0)
        command_failed(replay->arguments,
                       "event '%s': there is no delivery of it%s; if it was rejected, --outcome "
                       "rejected puts it on its topic again",
                       replay->event, replay->destination != NULL ? " at that destination" : "");
    ok = ok && PQntuples(chosen) > 0;
    PQclear(chosen);
    PQclear(rows);
    return ok ? COMMAND_DONE : COMMAND_FAILED;
}

static int replay_destination(struct replay *replay)
{
    char *at = mem_strdup(replay->since), *id = mem_strdup("0");
    bool ok = true, more = true;

    while (ok && more) {
        PGresult *rows =
            table_query(replay->db, sql_replay_of_destination,
                        DB_PARAMETERS(replay->destination, replay->states, replay->reason,
                                      replay->since, replay->until, at, id, BATCH_TEXT));
        int count = rows != NULL ? PQntuples(rows) : 0;

        ok = rows != NULL && replay_rows(replay, rows, 0, count);
        if (ok && count > 0) {
            table_print_part(replay->arguments, rows, columns, &replay->widths);
            free(at);
            free(id);
            at = mem_strdup(db_text(rows, count - 1, "finished_at"));
            id = mem_strdup(db_text(rows, count - 1, "delivery_id"));
        }
        more = count == BATCH;
        PQclear(rows);
    }
    free(at);
    free(id);
    return ok ? COMMAND_DONE : COMMAND_FAILED;
}

/* ---- rejected events ---- */

/* Puts the bytes of one on its topic again, and notes it. */
static bool replay_one_rejected(struct replay *replay, struct client *client, const PGresult *rows,
                                int row)
{
    const char *topic = db_text(rows, row, "topic");
    struct client_record record = {.topic = topic,
                                   .traceparent = db_text(rows, row, "traceparent"),
                                   .tracestate = db_text(rows, row, "tracestate")};
    unsigned char *key = NULL, *bytes;
    const char *trouble;
    PGresult *noted;

    if (db_text(rows, row, "key") != NULL)
        key = PQunescapeBytea((const unsigned char *)db_text(rows, row, "key"), &record.key_length);
    bytes =
        PQunescapeBytea((const unsigned char *)db_text(rows, row, "bytes"), &record.value_length);
    record.key = (const char *)key;
    record.value = (const char *)bytes;
    trouble = client_produce(client, &record);
    PQfreemem(key);
    PQfreemem(bytes);
    if (trouble != NULL) {
        command_failed(replay->arguments, "Kafka: topic '%s': %s", topic, trouble);
        return false;
    }
    noted = db_query(
        replay->db, sql_replayed_rejected,
        DB_PARAMETERS(topic, db_text(rows, row, "partition"), db_text(rows, row, "offset")));
    PQclear(noted);
    replay->count++;
    return noted != NULL;
}

static bool replay_rejected_rows(struct replay *replay, struct client *client, const PGresult *rows)
{
    bool ok = true;

    if (client == NULL)
        replay->count += PQntuples(rows);
    for (int row = 0; row < PQntuples(rows) && ok && client != NULL; row++)
        ok = replay_one_rejected(replay, client, rows, row);
    return ok;
}

/* `client` is NULL in a dry run. */
static int replay_all_rejected(struct replay *replay, struct client *client)
{
    PGresult *last = NULL;
    bool ok = true, more = true;

    while (ok && more) {
        int end = PQntuples(last) - 1;
        PGresult *rows = table_query(
            replay->db, sql_replay_rejected,
            DB_PARAMETERS(replay->event, replay->destination, replay->reason, replay->since,
                          replay->until, end >= 0 ? db_text(last, end, "rejected_at") : NULL,
                          end >= 0 ? db_text(last, end, "topic") : NULL,
                          end >= 0 ? db_text(last, end, "partition") : NULL,
                          end >= 0 ? db_text(last, end, "offset") : NULL, REJECTED_TEXT));

        PQclear(last);
        last = rows;
        ok = rows != NULL && replay_rejected_rows(replay, client, rows);
        if (ok && PQntuples(rows) > 0)
            table_print_part(replay->arguments, rows, rejected_columns, &replay->widths);
        more = PQntuples(rows) == REJECTED;
    }
    PQclear(last);
    if (ok && replay->event != NULL && replay->count == 0)
        return command_failed(replay->arguments,
                              "event '%s': no rejected event of this id that was not replayed yet",
                              replay->event);
    return ok ? COMMAND_DONE : COMMAND_FAILED;
}

static int replay_rejected(struct replay *replay)
{
    struct client *client = NULL;
    int status;

    if (!replay->dry_run && replay->arguments->settings->kafka_bootstrap_servers[0] == '\0')
        return command_wrong(replay->arguments,
                             "--outcome rejected: MMS_KAFKA_BOOTSTRAP_SERVERS is missing");
    if (!replay->dry_run && (client = client_open_producer(replay->arguments)) == NULL)
        return COMMAND_FAILED;
    status = replay_all_rejected(replay, client);
    client_close(client);
    return status;
}

/* ---- the command ---- */

/* What may be refused to who may look: found out before anything is done, and in a dry run too. */
static const struct db_need needs[] = {
    {sql_intake_lock, 1},
    {sql_replay, 2},
    {sql_intake_wake, 1},
    {.sql = NULL},
};
static const struct db_need needs_of_rejected[] = {
    {sql_replayed_rejected, 3},
    {.sql = NULL},
};

static const char *now(struct replay *replay)
{
    PGresult *row = db_query(replay->db, "select clock_timestamp()", 0, NULL);

    replay->until = row != NULL ? mem_strdup(PQgetvalue(row, 0, 0)) : NULL;
    PQclear(row);
    return replay->until;
}

static void sum_up(const struct replay *replay, const char *what)
{
    char raced[96] = "";

    if (argument(replay->arguments, "json") != NULL)
        return;
    if (replay->raced > 0)
        snprintf(raced, sizeof raced,
                 "; %lld did not: somebody replayed them meanwhile, or the destination is gone",
                 (long long)replay->raced);
    printf("%s%s: %lld%s\n", replay->dry_run ? "dry run, nothing done; " : "", what,
           (long long)replay->count, raced);
}

static int run(struct replay *replay, const char *outcome)
{
    bool rejected = outcome != NULL && strcmp(outcome, "rejected") == 0;
    int status = db_since(replay->db, &replay->since);

    if (status == COMMAND_DONE &&
        (!db_may(replay->db, rejected ? needs_of_rejected : needs) || now(replay) == NULL))
        status = COMMAND_FAILED;
    if (status != COMMAND_DONE)
        return status;
    status = rejected                ? replay_rejected(replay)
             : replay->event != NULL ? replay_event(replay)
                                     : replay_destination(replay);
    /* Also after a failure: what was done before it stays done. */
    if (status == COMMAND_DONE || replay->count > 0)
        sum_up(replay, rejected          ? "rejected events put on their topics again"
                       : replay->dry_run ? "deliveries that would get a new series of attempts"
                                         : "deliveries with a new series of attempts");
    return status;
}

/* The place in `choices` of an outcome; -1: it is none. */
static int find_choice(const char *outcome)
{
    int i = 0;

    while (choices[i].outcome != NULL &&
           (outcome == NULL || strcmp(choices[i].outcome, outcome) != 0))
        i++;
    return outcome != NULL && choices[i].outcome == NULL ? -1 : i;
}

static int replay(const struct arguments *arguments)
{
    const char *outcome = argument(arguments, "outcome");
    int choice = find_choice(outcome);
    struct replay replay = {.arguments = arguments,
                            .event = argument(arguments, "event"),
                            .destination = argument(arguments, "destination"),
                            .reason = argument(arguments, "reason"),
                            .dry_run = argument(arguments, "dry-run") != NULL};
    int status = COMMAND_FAILED;

    if (choice < 0)
        return command_wrong(arguments,
                             "--outcome: '%s' is none, expected failed, expired, accepted, unknown "
                             "or rejected",
                             outcome);
    if (replay.event == NULL &&
        (replay.destination == NULL || argument(arguments, "since") == NULL))
        return command_wrong(arguments, "which? Expected --event ID, or --destination ID --since "
                                        "WHEN");
    if (replay.event != NULL && argument(arguments, "since") != NULL)
        return command_wrong(arguments, "--since goes with --destination, not with --event");
    replay.states = choices[choice].states;
    replay.db = db_open(arguments, replay.dry_run ? DB_READ : DB_WRITE);
    if (replay.db != NULL)
        status = run(&replay, outcome);
    free(replay.since);
    free(replay.until);
    db_close(replay.db);
    return status;
}

const struct command command_replay = {
    "replay",
    NULL,
    "send events again, as a new series of attempts",
    "Begins a new series of attempts for events that are over: the same event, rendered afresh\n"
    "from the destination's row as it is now, with its retries and its place in the queue anew.\n"
    "Its attempts are counted on from the last one, so that each result stays one of a kind.\n"
    "\n"
    "Unless --outcome says otherwise: those that failed or expired. `accepted` sends once more\n"
    "what Twilio took; `unknown` what may have been sent and was left to a person; `rejected`\n"
    "puts the bytes of events that could not become deliveries on their topic again, which takes\n"
    "Kafka's settings (MMS_KAFKA_BOOTSTRAP_SERVERS) and the right to write there.\n"
    "What is still waiting, on its way or looked up is never replayed; nor is one event twice\n"
    "by the same call.\n",
    options,
    COMMAND_NEEDS_DATABASE,
    replay,
    false,
    "mms_operator",
};
