#include "worker/commands/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/mem.h"
#include "common/pg.h"
#include "worker/schema.h"

struct db {
    const struct command *command;
    const struct arguments *arguments; /* who complains; NULL: `trouble` is told */
    char *trouble;
    size_t trouble_size;
    int seconds; /* for a statement */
    PGconn *conn;
    bool began; /* by db_begin() */
    char sqlstate[6];
};

/* A report may take its time, but not for ever. */
#define REPORT_SECONDS  600
#define CONNECT_SECONDS 10
#define PARAMETERS_MAX  8 /* of what db_may() looks at */

#define INSUFFICIENT_PRIVILEGE "42501"

static void say(struct db *db, const char *text)
{
    char line[512];

    pg_reason(text, line, sizeof line);
    if (strcmp(db->sqlstate, INSUFFICIENT_PRIVILEGE) == 0)
        snprintf(line + strlen(line), sizeof line - strlen(line), "; this needs the rights of %s",
                 db->command->role);
    if (db->arguments != NULL)
        command_failed(db->arguments, "PostgreSQL: %s", line);
    else
        snprintf(db->trouble, db->trouble_size, "%s", line);
}

static void complain(struct db *db, const PGresult *result)
{
    const char *text = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

    snprintf(db->sqlstate, sizeof db->sqlstate, "%s", state != NULL ? state : "");
    if (text == NULL)
        text = PQerrorMessage(db->conn);
    say(db, text);
}

static void ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

static bool judge(struct db *db, enum db_use use)
{
    PGresult *result = PQexecParams(db->conn, schema_greeting, 0, NULL, NULL, NULL, NULL, 1);
    bool ok = PQresultStatus(result) == PGRES_TUPLES_OK;
    const char *field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *state = field != NULL ? field : "";
    const char *refusal = use == DB_WRITE ? schema_judge(NULL, ok ? result : NULL, state)
                                          : schema_judge_version(ok ? result : NULL, state);

    if (strcmp(state, INSUFFICIENT_PRIVILEGE) == 0)
        complain(db, result);
    else if (refusal != NULL)
        say(db, refusal);
    PQclear(result);
    return refusal == NULL;
}

/* What stands in MMS_DATABASE_URL wins over what stands before it. */
static PGconn *connect_to(const char *url, int seconds, const char *silence_ms)
{
    char limit[16];
    const char *const keywords[] = {"connect_timeout", "tcp_user_timeout", "dbname",
                                    "fallback_application_name", NULL};
    const char *const values[] = {limit, silence_ms, url, "mms-worker", NULL};

    snprintf(limit, sizeof limit, "%d", seconds);
    return PQconnectdbParams(keywords, values, 1);
}

/* Frees `db` if nothing can be done with it. */
static struct db *opened(struct db *db, enum db_use use)
{
    bool good = PQstatus(db->conn) == CONNECTION_OK;

    PQsetNoticeProcessor(db->conn, ignore_notice, NULL);
    if (!good)
        complain(db, NULL);
    else if (use != DB_ANY)
        good = judge(db, use);
    if (good)
        return db;
    db_close(db);
    return NULL;
}

struct db *db_open(const struct arguments *arguments, enum db_use use)
{
    struct db *db = mem_zalloc(sizeof *db);

    db->command = arguments->command;
    db->arguments = arguments;
    db->seconds = REPORT_SECONDS;
    db->conn = connect_to(arguments->settings->database_url, CONNECT_SECONDS, NULL);
    return opened(db, use);
}

struct db *db_try(const struct command *command, const struct settings *settings, enum db_use use,
                  int seconds, char *trouble, size_t trouble_size)
{
    struct db *db = mem_zalloc(sizeof *db);
    char silence[24];

    snprintf(silence, sizeof silence, "%d000", seconds);
    db->command = command;
    db->trouble = trouble;
    db->trouble_size = trouble_size;
    db->seconds = seconds;
    db->conn = connect_to(settings->database_url, seconds, silence);
    trouble[0] = '\0';
    return opened(db, use);
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    PQfinish(db->conn);
    free(db);
}

/* A statement without parameters or rows. */
static bool simple(struct db *db, const char *sql)
{
    PGresult *result = PQexec(db->conn, sql);
    bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;

    if (!ok)
        complain(db, result);
    PQclear(result);
    return ok;
}

static void roll_back(struct db *db)
{
    db->began = false;
    PQclear(PQexec(db->conn, "rollback"));
}

bool db_begin(struct db *db)
{
    char sql[240];

    /* Compiling such a statement takes longer than running it. Who is cut off within a transaction
       (a laptop that sleeps) must not hold a destination. */
    snprintf(sql, sizeof sql,
             "begin; set local timezone = 'UTC'; set local datestyle = 'ISO';"
             "set local statement_timeout = '%ds'; set local jit = off;"
             "set local idle_in_transaction_session_timeout = '10s'",
             db->seconds);
    db->began = simple(db, sql);
    return db->began;
}

bool db_commit(struct db *db)
{
    db->began = false;
    return simple(db, "commit");
}

PGresult *db_query(struct db *db, const char *sql, int count, const char *const *parameters)
{
    bool whole = !db->began; /* the transaction is this statement's own */
    PGresult *result;
    ExecStatusType status;

    db->sqlstate[0] = '\0';
    if (whole && !db_begin(db))
        return NULL;
    result = PQexecParams(db->conn, sql, count, NULL, parameters, NULL, NULL, 0);
    status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        complain(db, result);
        PQclear(result);
        roll_back(db);
        return NULL;
    }
    if (whole && !db_commit(db)) {
        PQclear(result);
        return NULL;
    }
    return result;
}

bool db_may(struct db *db, const struct db_need *needs)
{
    static const char *const nulls[PARAMETERS_MAX];
    bool may = true;

    /* Explaining looks at rights as running does, and is content with a standby. */
    for (; needs->sql != NULL && may; needs++) {
        char *sql = mem_printf("explain %s", needs->sql);
        PGresult *plan = db_query(db, sql, needs->parameters, nulls);

        may = plan != NULL;
        PQclear(plan);
        free(sql);
    }
    return may;
}

const char *db_text(const PGresult *rows, int row, const char *column)
{
    int number = PQfnumber(rows, column);

    return number < 0 || PQgetisnull(rows, row, number) ? NULL : PQgetvalue(rows, row, number);
}

int db_since(struct db *db, char **ret_moment)
{
    const char *since = argument(db->arguments, "since");
    char number[24];
    PGresult *row;
    int64_t us;

    *ret_moment = NULL;
    if (since == NULL)
        return COMMAND_DONE;
    if (clock_is_rfc3339(since)) {
        *ret_moment = mem_strdup(since);
        return COMMAND_DONE;
    }
    if (!config_parse_duration(since, &us) || us <= 0) {
        return command_wrong(
            db->arguments,
            "--since: '%s' is not valid, expected a duration such as 15m, 24h, 7d, or a "
            "moment such as 2026-01-31T08:00:00Z",
            since);
    }
    snprintf(number, sizeof number, "%lld", (long long)us);
    row = db_query(db, "select now() - $1::text::int8 * interval '1 microsecond'",
                   DB_PARAMETERS(number));
    if (row != NULL)
        *ret_moment = mem_strdup(PQgetvalue(row, 0, 0));
    PQclear(row);
    return *ret_moment != NULL ? COMMAND_DONE : COMMAND_FAILED;
}

char *db_text_array(const char *const *texts, int count)
{
    struct buf array;

    buf_init(&array, SIZE_MAX);
    buf_add_char(&array, '{');
    for (int i = 0; i < count; i++) {
        buf_add_string(&array, i > 0 ? ",\"" : "\"");
        for (const char *c = texts[i]; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\')
                buf_add_char(&array, '\\');
            buf_add_char(&array, *c);
        }
        buf_add_char(&array, '"');
    }
    buf_add_char(&array, '}');
    return buf_detach(&array);
}

const char *db_sqlstate(const struct db *db)
{
    return db->sqlstate;
}
