#ifndef WORKER_COMMANDS_DESTINATION_ROW_H
#define WORKER_COMMANDS_DESTINATION_ROW_H

#include <jansson.h>

#include "worker/commands/command.h"
#include "worker/commands/db.h"

/* A row of mms.destinations, read for the commands of the group `destination`. */
struct destination_row {
    json_t *json; /* with its secrets; NULL: there is no such row */
    char *config; /* as it stands in the table */
    char *fault;  /* why the config can't be read (it is null in `json` then); NULL: it can */
};

/* Reads the row of `id`; false after a complaint. Release in either case. */
bool destination_row_read(struct db *db, const char *id, struct destination_row *ret_row);

/* The same within a transaction: nobody else changes the row until its end. */
bool destination_row_lock(struct db *db, const char *id, struct destination_row *ret_row);

void destination_row_release(struct destination_row *row);

/* "no such destination: 'ID'"; returns COMMAND_FAILED. */
int destination_row_missing(const struct arguments *arguments, const char *id);

/* How many events wait there; false after a complaint. */
bool destination_row_pending(struct db *db, const char *id, int64_t *ret_pending);

#endif
