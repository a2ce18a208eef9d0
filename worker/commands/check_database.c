#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "sql.h"
#include "worker/commands/check.h"
#include "worker/commands/commands.h"
#include "worker/schema.h"

#define THING "postgresql"

#define OLDEST_SERVER 130000
/* A worker holds four; so many should be left for workers to come. */
#define CONNECTIONS_SPARE 10
/* What PostgreSQL has as delivered; claims of several workers fit into it. */
#define LOCKS_MIN 6400
/* From here on it shows. */
#define LATENCY_HIGH  (20 * CLOCK_MS)
#define CLOCK_OFF_MAX CLOCK_SECOND
#define ROUND_TRIPS   5

enum column {
    C_VERSION_NUMBER,
    C_VERSION,
    C_STANDBY,
    C_READ_ONLY,
    C_ISOLATION,
    C_CONNECTIONS_MAX,
    C_CONNECTIONS,
    C_LOCKS_MAX,
    C_MISSING_RIGHTS,
    C_SUPERUSER
};

static const char *value(const PGresult *facts, enum column column)
{
    return PQgetvalue(facts, 0, (int)column);
}

static int64_t number(const PGresult *facts, enum column column)
{
    return strtoll(value(facts, column), NULL, 10);
}

static bool is_true(const PGresult *facts, enum column column)
{
    return value(facts, column)[0] == 't';
}

static void judge_server(struct check *check, const PGresult *facts)
{
    int64_t spare = number(facts, C_CONNECTIONS_MAX) - number(facts, C_CONNECTIONS);

    if (number(facts, C_VERSION_NUMBER) < OLDEST_SERVER)
        check_say(check, FINDING_FAILED, THING, "Upgrade the server", "version %s is older than 13",
                  value(facts, C_VERSION));
    if (is_true(facts, C_STANDBY))
        check_say(check, FINDING_FAILED, THING, "Let MMS_DATABASE_URL name the primary",
                  "the server is a standby: it takes no writes");
    else if (is_true(facts, C_READ_ONLY))
        check_say(check, FINDING_FAILED, THING,
                  "Set default_transaction_read_only to off for this role and database",
                  "transactions are read-only");
    if (strcmp(value(facts, C_ISOLATION), "read committed") != 0)
        check_say(
            check, FINDING_FAILED, THING,
            "Set default_transaction_isolation to 'read committed' for this role and database",
            "default_transaction_isolation is '%s', on which no pace can be kept",
            value(facts, C_ISOLATION));
    if (spare < CONNECTIONS_SPARE)
        check_say(check, FINDING_WARNING, THING,
                  "Raise max_connections, or put a PgBouncer in between",
                  "%s of %s connections are in use; a worker holds four",
                  value(facts, C_CONNECTIONS), value(facts, C_CONNECTIONS_MAX));
    if (number(facts, C_LOCKS_MAX) < LOCKS_MIN)
        check_say(check, FINDING_WARNING, THING, "Raise max_locks_per_transaction",
                  "the table of locks has room for %s only", value(facts, C_LOCKS_MAX));
    if (value(facts, C_MISSING_RIGHTS)[0] != '\0')
        check_say(check, FINDING_FAILED, THING,
                  "Let MMS_DATABASE_URL name a login that has the role mms_worker",
                  "rights are missing: %s", value(facts, C_MISSING_RIGHTS));
    if (is_true(facts, C_SUPERUSER))
        check_say(check, FINDING_WARNING, THING,
                  "Let MMS_DATABASE_URL name a login that has the role mms_worker and no more",
                  "the role is a superuser; a worker needs few rights");
}

/* ---- clock and latency ---- */

/* Asks the time some times over; false if the database stops answering. */
static bool sample_clock(struct db *db, struct db_clock *clock, int64_t *ret_latency)
{
    *ret_latency = INT64_MAX;
    for (int i = 0; i < ROUND_TRIPS; i++) {
        int64_t sent = clock_wall(), received;
        PGresult *result =
            db_query(db, "select (extract(epoch from clock_timestamp()) * 1000000)::int8", 0, NULL);

        if (result == NULL)
            return false;
        received = clock_wall();
        db_clock_sample(clock, strtoll(PQgetvalue(result, 0, 0), NULL, 10), sent, received);
        if (received - sent < *ret_latency)
            *ret_latency = received - sent;
        PQclear(result);
    }
    return true;
}

static void judge_clock(struct check *check, const struct db_clock *clock)
{
    int64_t now = clock_wall();
    int64_t ahead_min = now - db_clock_latest(clock, now);
    int64_t ahead_max = now - db_clock_earliest(clock, now);
    int64_t off = ahead_min > 0 ? ahead_min : ahead_max < 0 ? -ahead_max : 0;

    if (off > CLOCK_OFF_MAX)
        check_say(check, FINDING_WARNING, "clock",
                  "Let NTP keep both; pace and evidence go by the database's clock, only the "
                  "worker's log by this one",
                  "this machine is %.1f s %s the database's clock", (double)off / CLOCK_SECOND,
                  ahead_min > 0 ? "ahead of" : "behind");
    else
        check_say(check, FINDING_OK, "clock", NULL,
                  "this machine is within a second of the database's clock");
}

/* ---- schema ---- */

/* False if there is nothing to be read. */
static bool judge_schema(struct check *check, struct db *db)
{
    PGresult *result =
        db_query(db, "select coalesce(max(version), 0) from mms.schema_migrations", 0, NULL);
    const char *state = db_sqlstate(db);
    int version = result != NULL ? (int)strtol(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    int newest = schema_newest();

    if (result == NULL && strcmp(state, "42P01") != 0 && strcmp(state, "3F000") != 0)
        check_say(check, FINDING_FAILED, "schema", "Let the role read mms.schema_migrations", "%s",
                  check->trouble);
    else if (result == NULL)
        check_say(check, FINDING_FAILED, "schema", "Run 'mms-worker migrate'",
                  "the database has no schema mms");
    else if (version < newest)
        check_say(check, FINDING_FAILED, "schema", "Run 'mms-worker migrate'",
                  "version %d, this program needs %d", version, newest);
    else if (version > newest)
        check_say(check, FINDING_FAILED, "schema", "Upgrade this program",
                  "version %d, this program is older and knows %d", version, newest);
    else
        check_say(check, FINDING_OK, "schema", NULL, "version %d", version);
    PQclear(result);
    return result != NULL;
}

/* ---- all of it ---- */

static bool judge_facts(struct check *check, struct db *db)
{
    PGresult *facts = db_query(db, sql_check_database, 0, NULL);
    int before = check->counts[FINDING_FAILED];
    struct db_clock clock = {.received = 0};
    int64_t latency;

    if (facts == NULL)
        return false;
    judge_server(check, facts);
    if (!db_begin(db) || !sample_clock(db, &clock, &latency) || !db_commit(db)) {
        PQclear(facts);
        return false;
    }
    if (latency > LATENCY_HIGH)
        check_say(check, FINDING_WARNING, THING, "Run workers nearer to the database",
                  "a round trip takes %.1f ms", (double)latency / CLOCK_MS);
    if (check->counts[FINDING_FAILED] == before)
        check_say(check, FINDING_OK, THING, NULL, "version %s, round trip %.1f ms",
                  value(facts, C_VERSION), (double)latency / CLOCK_MS);
    judge_clock(check, &clock);
    PQclear(facts);
    return true;
}

struct db *check_database(struct check *check)
{
    struct db *db = db_try(&command_check, check->settings, DB_ANY, check->seconds, check->trouble,
                           sizeof check->trouble);
    bool usable = db != NULL && judge_facts(check, db);

    if (!usable) {
        check_say(check, FINDING_FAILED, THING,
                  "Check MMS_DATABASE_URL, the server and its network", "%s", check->trouble);
        db_close(db);
        return NULL;
    }
    if (judge_schema(check, db))
        return db;
    db_close(db);
    return NULL;
}
