#include "worker/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/pg.h"
#include "common/pg_value.h"
#include "sql.h"

/* 7171443 ('mms') is this program's class of advisory locks; claims use its other, two-part space.
 */
static const char lock_sql[] = "select pg_advisory_xact_lock(7171443)";

static const char table_sql[] =
    "create schema if not exists mms;"
    "create table if not exists mms.schema_migrations ("
    "  version integer primary key, name text not null,"
    "  applied_at timestamptz not null default now());"
    "comment on table mms.schema_migrations is 'The migrations that were applied';"
    "comment on column mms.schema_migrations.version is 'Number of the migration';"
    "comment on column mms.schema_migrations.name is 'Name of its file';"
    "comment on column mms.schema_migrations.applied_at is 'When it was applied';";

const char *const schema_greeting = sql_greeting;

int schema_newest(void)
{
    return sql_migrations[sql_migration_count - 1].version;
}

const char *schema_judge_version(const PGresult *result, const char *sqlstate)
{
    static char refusal[160];
    int version;

    if (strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "3F000") == 0)
        return "the database has no schema mms: run 'mms-worker migrate'";
    if (strcmp(sqlstate, "42501") == 0)
        return "the schema mms is closed to this login: a worker's has to be a member of "
               "mms_worker";
    if (result == NULL) {
        snprintf(refusal, sizeof refusal, "the database refused the greeting (SQLSTATE %s)",
                 sqlstate);
        return refusal;
    }
    version = pg_int4(result, 0, 0);
    if (version == schema_newest())
        return NULL;
    snprintf(refusal, sizeof refusal,
             version < schema_newest()
                 ? "the database's schema is version %d, this program needs %d: run 'mms-worker "
                   "migrate'"
                 : "the database's schema is version %d, newer than this program's %d: upgrade "
                   "the program",
             version, schema_newest());
    return refusal;
}

const char *schema_judge(void *arg, const PGresult *result, const char *sqlstate)
{
    (void)arg;
    if (result != NULL && pg_int4(result, 0, 1) != 0)
        return "the server is read-only: a standby, or default_transaction_read_only is on";
    if (result != NULL && pg_int4(result, 0, 2) == 0)
        return "default_transaction_isolation is not 'read committed', which the pace relies on";
    if (result != NULL && pg_int4(result, 0, 3) == 0)
        return "the database's encoding, or client_encoding, is not UTF8, which events are";
    return schema_judge_version(result, sqlstate);
}

/* ---- migrating ---- */

/* `result` is what failed, NULL if it was the connection. */
static int complain(PGconn *conn, const PGresult *result, const char *doing)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    char line[512];

    fprintf(stderr, "mms-worker migrate: %s: %s%s\n", doing,
            pg_reason(PQerrorMessage(conn), line, sizeof line),
            state != NULL && strcmp(state, "42501") == 0 ? "; this needs the owner of the database"
                                                         : "");
    return -1;
}

static int run(PGconn *conn, const char *sql, const char *doing)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    int done =
        status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : complain(conn, result, doing);

    PQclear(result);
    return done;
}

/* The version that the database has; -1 after a complaint. */
static int read_version(PGconn *conn)
{
    PGresult *result = PQexec(conn, "select coalesce(max(version), 0) from mms.schema_migrations");
    int version = -1;

    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        version = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
    else
        complain(conn, result, "reading mms.schema_migrations");
    PQclear(result);
    return version;
}

static int record(PGconn *conn, const struct sql_migration *migration)
{
    char *sql = mem_printf("insert into mms.schema_migrations (version, name) values (%d, '%s')",
                           migration->version, migration->name);
    int result = run(conn, sql, migration->name);

    free(sql);
    return result;
}

/*
 * The next migration in a transaction of its own. Returns 1 if one was applied, 0 if there is none
 * left, -1 after a complaint. The lock is the transaction's, so a transaction-pooling proxy is
 * fine.
 */
static int step(PGconn *conn)
{
    const struct sql_migration *migration = NULL;
    int version;

    if (run(conn, "begin", "begin") < 0 || run(conn, lock_sql, "waiting for others") < 0 ||
        run(conn, table_sql, "creating mms.schema_migrations") < 0 ||
        (version = read_version(conn)) < 0)
        return -1;
    if (version > schema_newest()) {
        fprintf(stderr,
                "mms-worker migrate: the database's schema is version %d, newer than this "
                "program's %d: upgrade the program\n",
                version, schema_newest());
        return -1;
    }
    for (int i = sql_migration_count - 1; i >= 0; i--) {
        if (sql_migrations[i].version > version)
            migration = &sql_migrations[i];
    }
    if (migration != NULL) {
        if (run(conn, migration->sql, migration->name) < 0 || record(conn, migration) < 0)
            return -1;
    }
    if (run(conn, "commit", "commit") < 0)
        return -1;
    if (migration != NULL)
        printf("applied %s\n", migration->name);
    return migration != NULL;
}

/* The roles and their rights. What can't be done here is said, and takes nothing from the schema.
 */
static int grant(PGconn *conn)
{
    PGresult *result;
    int granted = -1;

    if (run(conn, "begin", "begin") < 0 || run(conn, lock_sql, "waiting for others") < 0)
        return -1;
    result = PQexec(conn, sql_roles);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        complain(conn, result, "roles.sql");
    else
        granted = run(conn, "commit", "commit");
    for (int row = 0; granted == 0 && row < PQntuples(result); row++)
        fprintf(stderr, "mms-worker migrate: %s\n", PQgetvalue(result, row, 0));
    PQclear(result);
    return granted;
}

static void ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

int schema_migrate(const char *conninfo)
{
    PGconn *conn = PQconnectdb(conninfo);
    int result = 1;

    if (PQstatus(conn) != CONNECTION_OK) {
        complain(conn, NULL, "connecting");
        PQfinish(conn);
        return 1;
    }
    PQsetNoticeProcessor(conn, ignore_notice, NULL);
    while (result > 0)
        result = step(conn);
    if (result == 0)
        result = grant(conn);
    PQfinish(conn);
    if (result == 0)
        printf("schema is at version %d\n", schema_newest());
    return result == 0 ? 0 : 1;
}
