/* `destination put` and `destination patch`: one object becomes a row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "sql.h"
#include "worker/commands/command.h"
#include "worker/commands/commands.h"
#include "worker/commands/db.h"
#include "worker/commands/destination_row.h"
#include "worker/commands/input.h"
#include "worker/commands/mask.h"
#include "worker/commands/merge.h"
#include "worker/commands/row.h"
#include "worker/commands/table.h"
#include "worker/destination.h"

/* How often a row may come or go between two looks at it. */
#define TRIES 5

/* "VERB ID" and behind it what has changed, on stdout; the warning on stderr. */
static void tell(const struct arguments *arguments, const char *verb, const char *id,
                 const char *changes, const char *warning)
{
    printf("%s ", verb);
    table_print_text(id, 0);
    fputs(changes[0] != '\0' ? ": " : "", stdout);
    table_print_text(changes, 0);
    puts("");
    if (warning[0] != '\0')
        command_failed(arguments, "warning: %s", warning);
}

/* Writes the row by a statement that returns it if it did. */
static bool write_row(struct db *db, const char *sql, const json_t *row, bool *ret_written)
{
    char *config = row_text(json_object_get(row, "config"), JSON_COMPACT);
    PGresult *rows =
        db_query(db, sql,
                 DB_PARAMETERS(json_member_string(row, "id"), json_member_string(row, "name"),
                               row_type(row), config, json_member_string(row, "disabled_at")));

    *ret_written = rows != NULL && PQntuples(rows) == 1;
    PQclear(rows);
    mem_wipe(config, strlen(config));
    free(config);
    return rows != NULL;
}

/* An object on its way into the table, in a transaction that holds the row. */
struct edit {
    const struct arguments *arguments;
    struct db *db;
    const struct secrets *secrets;
    const char *verb;           /* what is said if the row has changed */
    struct destination_row old; /* no json: there is no row */
    json_t *row;                /* with secrets, judged */
    char warning[ROW_WHY];
    bool again; /* somebody made the row meanwhile */
};

/* Workers may run elsewhere, with other files and another environment. */
static void warn_of_secrets(struct edit *edit)
{
    char *config = row_text(json_object_get(edit->row, "config"), JSON_COMPACT);
    size_t length = strlen(edit->warning);
    struct destination destination;
    char why[ROW_WHY];

    if (destination_parse(row_type(edit->row), config, &destination, why, sizeof why)) {
        if (destination_reveal(&destination, edit->secrets, why, sizeof why))
            snprintf(edit->warning, sizeof edit->warning, "%s", destination.warning);
        else
            snprintf(edit->warning + length, sizeof edit->warning - length, "%s%s (here)",
                     length > 0 ? "; " : "", why);
    }
    destination_release(&destination);
    mem_wipe(config, strlen(config));
    free(config);
}

/* Puts the secrets where they were masked, and judges. */
static bool complete(struct edit *edit, const char *what)
{
    json_t *config = json_object_get(edit->row, "config"), *whole;
    char why[ROW_WHY];

    if (json_is_object(config)) {
        whole = unmask_config(config, json_object_get(edit->old.json, "config"), why, sizeof why);
        if (whole != NULL)
            json_object_set_new(edit->row, "config", whole);
        else {
            command_failed(edit->arguments, "%s: %s", what, why);
            return false;
        }
    }
    if (row_judge(edit->row, why, edit->warning)) {
        warn_of_secrets(edit);
        return true;
    }
    command_failed(edit->arguments, "%s: %s", what, why);
    return false;
}

static int create(struct edit *edit)
{
    bool written;

    if (!write_row(edit->db, sql_destination_insert, edit->row, &written))
        return COMMAND_FAILED;
    edit->again = !written;
    if (edit->again)
        return COMMAND_DONE;
    if (!db_commit(edit->db))
        return COMMAND_FAILED;
    tell(edit->arguments, "created", json_member_string(edit->row, "id"), "", edit->warning);
    return COMMAND_DONE;
}

static int change(struct edit *edit)
{
    char *changes = row_changes(edit->old.json, edit->row);
    bool written = true, done = true;

    /* What needs no change isn't written: that would end the destination's parking. */
    if (changes[0] != '\0')
        done = write_row(edit->db, sql_destination_update, edit->row, &written);
    done = done && db_commit(edit->db);
    if (done)
        tell(edit->arguments, changes[0] != '\0' ? edit->verb : "unchanged",
             json_member_string(edit->row, "id"), changes, edit->warning);
    free(changes);
    return done ? COMMAND_DONE : COMMAND_FAILED;
}

/* ---- put ---- */

/* A row that isn't said to be enabled or disabled stays what it is. */
static void keep_disabled(struct edit *edit)
{
    if (edit->old.json != NULL && json_object_get(edit->row, "disabled_at") == NULL)
        json_object_set(edit->row, "disabled_at", json_object_get(edit->old.json, "disabled_at"));
}

static int put_row(struct edit *edit, json_t *object, const char *what)
{
    const char *id = json_member_string(object, "id");
    int status = COMMAND_FAILED;

    edit->again = false;
    if (!db_begin(edit->db))
        return COMMAND_FAILED;
    edit->row = json_copy(object);
    /* Without an id there is nothing to be looked for, and the judge will say so. */
    if (destination_row_lock(edit->db, id != NULL ? id : "", &edit->old)) {
        keep_disabled(edit);
        if (complete(edit, what))
            status = edit->old.json != NULL ? change(edit) : create(edit);
    }
    json_decref(edit->row);
    destination_row_release(&edit->old);
    return status;
}

static int put_object(const struct arguments *arguments, const struct secrets *secrets,
                      json_t *object, const char *what)
{
    struct edit edit = {
        .arguments = arguments, .secrets = secrets, .verb = "replaced", .again = true};
    int status = COMMAND_DONE;

    edit.db = db_open(arguments, DB_WRITE);
    if (edit.db == NULL)
        return COMMAND_FAILED;
    for (int i = 0; i < TRIES && edit.again; i++) {
        status = put_row(&edit, object, what);
        if (edit.again && !db_commit(edit.db))
            break;
    }
    if (edit.again)
        status = command_failed(arguments, "%s: others make and delete this destination, try again",
                                what);
    db_close(edit.db);
    return status;
}

static int put(const struct arguments *arguments, const struct secrets *secrets)
{
    const char *name = arguments->operands[0];
    json_t *object;
    size_t length;
    int status;
    char *text = input_read(arguments, name, &length);

    if (text == NULL)
        return COMMAND_FAILED;
    object = input_json(arguments, input_name(name), text, length);
    mem_wipe(text, length);
    free(text);
    if (object == NULL)
        return COMMAND_FAILED;
    if (json_is_object(object))
        status = put_object(arguments, secrets, object, input_name(name));
    else
        status = command_failed(arguments, "%s: not an object, expected one destination",
                                input_name(name));
    json_decref(object);
    return status;
}

/* Calls one of the two with the secrets that the settings name. */
static int with_secrets(const struct arguments *arguments,
                        int (*write)(const struct arguments *arguments,
                                     const struct secrets *secrets))
{
    struct secrets *secrets = command_secrets(arguments);
    int status = secrets != NULL ? write(arguments, secrets) : COMMAND_WRONG;

    secrets_close(secrets);
    return status;
}

static int run_put(const struct arguments *arguments)
{
    return with_secrets(arguments, put);
}

/* ---- patch ---- */

/* What names the row, or is kept by the database. */
static bool judge_patch(const struct arguments *arguments, const json_t *patch)
{
    static const char *const fixed[] = {"id", "created_at", "updated_at"};

    if (!json_is_object(patch)) {
        command_failed(arguments, "patch: not an object, expected a JSON merge patch such as "
                                  "{\"config\": {\"to\": \"+37120000000\"}}");
        return false;
    }
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        const json_t *value = json_object_get(patch, fixed[i]);
        const char *text = json_string_value(value);

        if (value == NULL || (i == 0 && text != NULL && strcmp(text, arguments->operands[0]) == 0))
            continue;
        command_failed(arguments, "patch: %s: can't be changed, expected other fields", fixed[i]);
        return false;
    }
    return true;
}

/* In the transaction that holds the row. */
static int patch_held(struct edit *edit, json_t *patch)
{
    if (edit->old.json == NULL)
        return destination_row_missing(edit->arguments, edit->arguments->operands[0]);
    if (edit->old.fault != NULL)
        return command_failed(edit->arguments,
                              "config: %s, expected one that can be read ('put' replaces it)",
                              edit->old.fault);
    edit->row = merge_patch(edit->old.json, patch);
    return complete(edit, "patch") ? change(edit) : COMMAND_FAILED;
}

static int patch_row(const struct arguments *arguments, const struct secrets *secrets,
                     json_t *patch)
{
    struct edit edit = {.arguments = arguments, .secrets = secrets, .verb = "patched"};
    int status = COMMAND_FAILED;

    edit.db = db_open(arguments, DB_WRITE);
    if (edit.db == NULL)
        return COMMAND_FAILED;
    if (db_begin(edit.db) && destination_row_lock(edit.db, arguments->operands[0], &edit.old))
        status = patch_held(&edit, patch);
    json_decref(edit.row);
    destination_row_release(&edit.old);
    db_close(edit.db);
    return status;
}

static int patch(const struct arguments *arguments, const struct secrets *secrets)
{
    const char *operand = arguments->operands[1];
    bool from_stdin = strcmp(operand, "-") == 0;
    size_t length = strlen(operand);
    char *text = from_stdin ? input_read(arguments, operand, &length) : mem_strdup(operand);
    json_t *changes = NULL;
    int status = COMMAND_FAILED;

    if (text != NULL)
        changes = input_json(arguments, "patch", text, length);
    if (changes == NULL)
        status = COMMAND_FAILED;
    else if (!from_stdin && mask_has_secret(changes))
        status = command_wrong(arguments, "a secret on a command line is seen by everybody on this "
                                          "machine, expected '-' and the patch on stdin");
    else if (judge_patch(arguments, changes))
        status = patch_row(arguments, secrets, changes);
    json_decref(changes);
    if (text != NULL)
        mem_wipe(text, length);
    free(text);
    return status;
}

static int run_patch(const struct arguments *arguments)
{
    return with_secrets(arguments, patch);
}

const struct command command_destination_put = {
    "destination put",
    "FILE",
    "create or replace a destination",
    "Makes of one JSON object a destination, or replaces the one of that id:\n"
    "\n"
    "  {\"id\": \"…\", \"name\": \"…\", \"type\": \"TWILIO_MMS\", \"config\": {…}}\n"
    "\n"
    "'destination show ID --json' prints such an object. FILE '-' is stdin.\n"
    "What the object leaves out is gone, but for disabled_at: without it the\n"
    "destination stays enabled or disabled as it is; null enables it. created_at and\n"
    "updated_at are the database's own. Secrets are never shown: \"***\" stands for\n"
    "them, and means \"as it is in the row\" when such an object is put.\n"
    "Nothing is written unless all of it is right. A change ends the destination's\n"
    "parking. Prints 'created', 'replaced' and which fields, or 'unchanged', and warns\n"
    "if a secret (env:, file:, sealed:) isn't to be had here.\n",
    NULL,
    COMMAND_NEEDS_DATABASE,
    run_put,
    false,
    "mms_operator",
};

const struct command command_destination_patch = {
    "destination patch",
    "ID JSON",
    "change some fields of a destination",
    "Applies a JSON merge patch (RFC 7396) to a destination: what the patch has\n"
    "replaces, null removes, the rest stays. Arrays are replaced as a whole.\n"
    "\n"
    "  mms-worker destination patch ID '{\"name\": \"ops\", \"config\": {\"from\": null}}'\n"
    "\n"
    "JSON '-' is stdin. Secrets belong there: a command line is seen by everybody on\n"
    "the machine, so a patch with a secret in it is refused there. \"***\" means \"as it\n"
    "is in the row\". id, created_at and updated_at can't be changed.\n"
    "Nothing is written unless the destination is right as a whole. A change ends its\n"
    "parking. Prints 'patched' and which fields, or 'unchanged'.\n",
    NULL,
    COMMAND_NEEDS_DATABASE,
    run_patch,
    false,
    "mms_operator",
};
