/* `destination enable` and `destination disable`. */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "sql.h"
#include "worker/commands/command.h"
#include "worker/commands/commands.h"
#include "worker/commands/db.h"
#include "worker/commands/destination_row.h"
#include "worker/commands/table.h"

/* What was found. */
struct found {
    char since[32];         /* when it was disabled; "": it wasn't */
    char parked_reason[64]; /* "": it wasn't parked */
};

/* In the transaction that holds the row. */
static bool write_row(struct db *db, const char *sql, const char *id, struct found *ret_found)
{
    PGresult *rows = db_query(db, sql, DB_PARAMETERS(id));

    if (rows == NULL)
        return false;
    if (PQntuples(rows) > 0)
        snprintf(ret_found->parked_reason, sizeof ret_found->parked_reason, "%s",
                 PQgetvalue(rows, 0, 0));
    PQclear(rows);
    return db_commit(db);
}

static bool flip(const struct arguments *arguments, struct db *db, const char *sql,
                 struct found *ret_found)
{
    const char *id = arguments->operands[0], *since;
    struct destination_row row;
    bool done = false;

    *ret_found = (struct found){.since = ""};
    if (!db_begin(db))
        return false;
    if (destination_row_lock(db, id, &row)) {
        since = json_member_string(row.json, "disabled_at");
        if (since != NULL)
            snprintf(ret_found->since, sizeof ret_found->since, "%.10s %.8s", since,
                     strlen(since) > 11 ? since + 11 : "");
        if (row.json == NULL)
            destination_row_missing(arguments, id);
        else
            done = write_row(db, sql, id, ret_found);
    }
    destination_row_release(&row);
    return done;
}

typedef void say_fn(const char *id, const struct found *found, int64_t pending);

static void say_id(const char *before, const char *id, const char *behind)
{
    fputs(before, stdout);
    table_print_text(id, 0);
    fputs(behind, stdout);
}

static const char *events(int64_t count)
{
    return count == 1 ? "event" : "events";
}

static void say_enabled(const char *id, const struct found *found, int64_t pending)
{
    if (found->since[0] != '\0')
        say_id("enabled ", id, "");
    else if (found->parked_reason[0] != '\0')
        say_id("", id, " was enabled already, and parked: ");
    else
        say_id("", id, " is enabled already");
    if (found->since[0] == '\0' && found->parked_reason[0] != '\0') {
        table_print_text(found->parked_reason, 0);
        fputs("; it is tried again at once", stdout);
    }
    if (pending > 0)
        printf("; %lld %s waiting, one a second is sent", (long long)pending, events(pending));
    puts("");
}

static void say_disabled(const char *id, const struct found *found, int64_t pending)
{
    if (found->since[0] != '\0') {
        say_id("", id, " is disabled already, since ");
        printf("%s", found->since);
    } else {
        say_id("disabled ", id, "");
    }
    printf("; %lld %s held, and so are those that come\n", (long long)pending, events(pending));
}

static int flip_and_say(const struct arguments *arguments, const char *sql, say_fn *say)
{
    const char *id = arguments->operands[0];
    struct db *db = db_open(arguments, DB_WRITE);
    struct found found;
    int64_t pending;
    int status = COMMAND_FAILED;

    if (db == NULL)
        return COMMAND_FAILED;
    if (flip(arguments, db, sql, &found) && destination_row_pending(db, id, &pending)) {
        say(id, &found, pending);
        status = COMMAND_DONE;
    }
    db_close(db);
    return status;
}

static int run_enable(const struct arguments *arguments)
{
    return flip_and_say(arguments, sql_destination_enable, say_enabled);
}

static int run_disable(const struct arguments *arguments)
{
    return flip_and_say(arguments, sql_destination_disable, say_disabled);
}

const struct command command_destination_enable = {
    "destination enable",
    "ID",
    "let a destination's events flow",
    "Enables a destination: the events that wait there are sent, one a second. May be\n"
    "repeated. One that is parked is tried again at once, for who calls this has\n"
    "mended something.\n",
    NULL,
    COMMAND_NEEDS_DATABASE,
    run_enable,
    false,
    "mms_operator",
};

const struct command command_destination_disable = {
    "destination disable",
    "ID",
    "hold a destination's events",
    "Disables a destination: its events are taken in and wait until it is enabled;\n"
    "nothing is lost. What is being sent at this moment is finished. May be repeated.\n",
    NULL,
    COMMAND_NEEDS_DATABASE,
    run_disable,
    false,
    "mms_operator",
};
