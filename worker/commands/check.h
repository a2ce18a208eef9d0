#ifndef WORKER_COMMANDS_CHECK_H
#define WORKER_COMMANDS_CHECK_H

#include <stdbool.h>

#include "worker/commands/db.h"
#include "worker/secret.h"
#include "worker/settings.h"

/* `mms-worker check`: what is looked at before a deployment. One line on stdout for each thing. */

enum finding { FINDING_OK, FINDING_WARNING, FINDING_FAILED };

struct check {
    const struct settings *settings;
    struct secrets *secrets; /* NULL: the settings of them are wrong */
    const char *destination; /* only this one; NULL: all */
    int seconds;             /* for whatever has to answer */
    bool json;
    bool colour;
    int counts[3];     /* by finding */
    char trouble[512]; /* with the database, as db_try() has it */
};

/* What was found about `thing`, in one line; `advice` says what to do (NULL: nothing). */
void check_say(struct check *check, enum finding finding, const char *thing, const char *advice,
               const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Brokers, topics, the consumer group. */
void check_kafka(struct check *check);

/*
 * The server, its schema, our rights, its clock. Returns a connection to a database that has our
 * schema, in whatever version, or NULL. It tells `check->trouble`.
 */
struct db *check_database(struct check *check);

/* Every destination's config, and whether Twilio takes its credentials; `db` may be NULL. */
void check_twilio(struct check *check, struct db *db);

#endif
