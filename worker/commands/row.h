#ifndef WORKER_COMMANDS_ROW_H
#define WORKER_COMMANDS_ROW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A row of mms.destinations as a JSON object: id, name, type, config, disabled_at, created_at,
 * updated_at. Without I/O.
 */

/* What `put` and `patch` say about it in one line fits. */
#define ROW_WHY 640

/*
 * Judges an object that is to become the row: its own fields, and the config as the worker will
 * judge it. False if a rule is broken; `why` then has one line that names the field and what was
 * expected. Otherwise `ret_warning` has what is allowed and hardly meant, or "". Neither has a
 * secret in it.
 */
bool row_judge(const json_t *row, char why[ROW_WHY], char ret_warning[ROW_WHY]);

/* The same of a type and a config alone (JSON text), as they stand in the table. */
bool row_judge_config(const char *type, const char *config, char why[ROW_WHY],
                      char ret_warning[ROW_WHY]);

/* The row's type; what it is if it isn't said. Borrowed. */
const char *row_type(const json_t *row);

/*
 * The same config in the order in which people think of it: jsonb has its members by their names'
 * lengths. A new reference.
 */
json_t *row_ordered(json_t *config);

/* The names of the fields in which two rows differ: "name, config.to"; owned, "" if in none. */
char *row_changes(const json_t *old, const json_t *row);

/*
 * JSON text, owned, with no more digits in its numbers than they need; `flags` are jansson's
 * (JSON_COMPACT, JSON_INDENT(2)).
 */
char *row_text(const json_t *value, size_t flags);

#endif
