#include "worker/commands/destination_row.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "sql.h"

/* The columns of destination_row.sql, which are the object's members too. */
static const char *const columns[] = {"id",          "name",       "type",      "config",
                                      "disabled_at", "created_at", "updated_at"};
#define COLUMNS (int)(sizeof columns / sizeof columns[0])
#define CONFIG  3

/* jsonb holds what we can't read: numbers beyond 64 bits, deep nesting. */
static json_t *read_config(struct destination_row *row)
{
    json_t *config = NULL;
    char why[200];

    if (json_parse(row->config, strlen(row->config), &config, why, sizeof why) == JSON_OK)
        return config;
    row->fault = mem_strdup(why);
    return json_null();
}

static void take(const PGresult *rows, struct destination_row *row)
{
    row->json = json_object();
    row->config = mem_strdup(PQgetvalue(rows, 0, CONFIG));
    for (int i = 0; i < COLUMNS; i++) {
        json_t *value = json_null();

        if (i == CONFIG)
            value = read_config(row);
        else if (!PQgetisnull(rows, 0, i))
            value = json_string(PQgetvalue(rows, 0, i));
        json_object_set_new(row->json, columns[i], value);
    }
}

bool destination_row_read(struct db *db, const char *id, struct destination_row *ret_row)
{
    PGresult *rows = db_query(db, sql_destination_row, DB_PARAMETERS(id));

    *ret_row = (struct destination_row){.json = NULL};
    if (rows == NULL)
        return false;
    if (PQntuples(rows) > 0)
        take(rows, ret_row);
    PQclear(rows);
    return true;
}

bool destination_row_lock(struct db *db, const char *id, struct destination_row *ret_row)
{
    PGresult *rows = db_query(db, sql_destination_lock_timeout, 0, NULL);

    *ret_row = (struct destination_row){.json = NULL};
    if (rows == NULL)
        return false;
    PQclear(rows);
    rows = db_query(db, sql_destination_lock, DB_PARAMETERS(id));
    if (rows == NULL)
        return false;
    PQclear(rows);
    return destination_row_read(db, id, ret_row);
}

void destination_row_release(struct destination_row *row)
{
    json_decref(row->json);
    free(row->config);
    free(row->fault);
    *row = (struct destination_row){.json = NULL};
}

int destination_row_missing(const struct arguments *arguments, const char *id)
{
    return command_failed(arguments, "no such destination: '%s'", id);
}

bool destination_row_pending(struct db *db, const char *id, int64_t *ret_pending)
{
    PGresult *rows = db_query(db, sql_destination_pending, DB_PARAMETERS(id));

    if (rows == NULL)
        return false;
    *ret_pending = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
    PQclear(rows);
    return true;
}
