/* `destination list` and `destination show`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "sql.h"
#include "worker/commands/command.h"
#include "worker/commands/commands.h"
#include "worker/commands/db.h"
#include "worker/commands/destination_row.h"
#include "worker/commands/mask.h"
#include "worker/commands/row.h"
#include "worker/commands/table.h"

/* ---- list ---- */

static bool judge_condition(const struct arguments *arguments, const char *condition)
{
    static const char *const conditions[] = {"active", "parked", "disabled", "missing"};

    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++) {
        if (condition == NULL || strcmp(condition, conditions[i]) == 0)
            return true;
    }
    command_wrong(arguments,
                  "--condition: '%s' is not valid, expected active, parked, disabled or missing",
                  condition);
    return false;
}

static int run_list(const struct arguments *arguments)
{
    /* At most 80 characters together. */
    static const struct column columns[] = {
        {"id", NULL, 22, false},       {"name", NULL, 12, false},
        {"condition", NULL, 9, false}, {"parked_reason", "why", 12, false},
        {"pending", NULL, 7, true},    {"accepted", NULL, 8, true},
        {NULL, NULL, 0, false},
    };
    const char *condition = argument(arguments, "condition");
    PGresult *rows;
    struct db *db;

    if (!judge_condition(arguments, condition))
        return COMMAND_WRONG;
    db = db_open(arguments, DB_READ);
    if (db == NULL)
        return COMMAND_FAILED;
    rows = db_query(db, sql_destination_list, DB_PARAMETERS(condition));
    if (rows != NULL)
        table_print(arguments, rows, columns);
    PQclear(rows);
    db_close(db);
    return rows != NULL ? COMMAND_DONE : COMMAND_FAILED;
}

/* ---- show ---- */

static void print_member(const char *prefix, const char *name, const json_t *value)
{
    char *text = json_is_string(value) ? NULL : row_text(value, JSON_COMPACT);

    printf("  %s", prefix);
    table_print_text(name, 0);
    printf("%*s",
           (int)(strlen(prefix) + strlen(name) < 22 ? 22 - strlen(prefix) - strlen(name) : 0), "");
    fputs("  ", stdout);
    table_print_text(text != NULL ? text : json_string_value(value), 0);
    puts("");
    free(text);
}

/* A line for each field, those of `auth` beside the others; null is absent. */
static void print_members(const char *prefix, const json_t *object, const char *deeper)
{
    const json_t *value;
    const char *name;

    json_object_foreach((json_t *)object, name, value)
    {
        if (deeper != NULL && strcmp(name, deeper) == 0 && json_is_object(value))
            print_members("auth.", value, NULL);
        else if (!json_is_null(value))
            print_member(prefix, name, value);
    }
}

static void print_line(const char *name, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    printf("%-14s", name);
    table_print_text(text, 0);
    puts("");
}

/* "2026-11-22T07:48:29.123456+00:00" as people read it. */
static void print_time(const char *name, const char *text)
{
    char time[32];

    if (text == NULL || strlen(text) < 19)
        return;
    snprintf(time, sizeof time, "%.10s %.8s UTC", text, text + 11);
    print_line(name, time);
}

static void print_row(const struct destination_row *row, json_t *shown)
{
    char why[ROW_WHY], warning[ROW_WHY];

    print_line("id", json_member_string(shown, "id"));
    print_line("name", json_member_string(shown, "name"));
    print_line("type", json_member_string(shown, "type"));
    print_time("created", json_member_string(shown, "created_at"));
    print_time("updated", json_member_string(shown, "updated_at"));
    print_time("disabled", json_member_string(shown, "disabled_at"));
    puts("config");
    print_members("", json_object_get(shown, "config"), "auth");
    if (row_judge_config(row_type(shown), row->config, why, warning))
        print_line("warning", warning);
    else
        print_line("wrong", why);
}

static void print_condition(const PGresult *rows)
{
    const struct {
        const char *name, *column;
    } lines[] = {
        {"condition", "condition"},       {"parked for", "parked_reason"},
        {"parked since", "parked_since"}, {"next probe", "next_probe_at"},
        {"pending", "pending"},           {"oldest", "oldest_pending_at"},
        {"unknown", "unknown"},           {"last error", "last_error_message"},
        {"advice", "last_advice"},
    };

    puts("");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0] && PQntuples(rows) > 0; i++)
        print_line(lines[i].name, PQgetvalue(rows, 0, PQfnumber(rows, lines[i].column)));
}

static bool print_health(const struct arguments *arguments, struct db *db)
{
    static const struct column columns[] = {
        {"finished_at", "latest attempts", 19, false},
        {"event_id", "event", 22, false},
        {"attempt", NULL, 0, true},
        {"outcome", NULL, 8, false},
        {"reason", NULL, 14, false},
        {NULL, NULL, 0, false},
    };
    const char *id = arguments->operands[0];
    PGresult *condition = db_query(db, sql_destination_condition, DB_PARAMETERS(id));
    PGresult *attempts = NULL;

    if (condition != NULL)
        attempts = db_query(db, sql_destination_attempts, DB_PARAMETERS(id));
    if (attempts != NULL) {
        print_condition(condition);
        if (PQntuples(attempts) > 0) {
            puts("");
            table_print(arguments, attempts, columns);
        }
    }
    PQclear(condition);
    PQclear(attempts);
    return attempts != NULL;
}

static void print_object(const json_t *shown)
{
    char *text = row_text(shown, JSON_INDENT(2));

    puts(text);
    free(text);
}

static int show(const struct arguments *arguments, struct db *db, const struct destination_row *row)
{
    json_t *shown = json_copy(row->json), *config;
    int status = COMMAND_DONE;

    config = mask_config(json_object_get(shown, "config"));
    json_object_set_new(shown, "config", row_ordered(config));
    json_decref(config);
    if (argument(arguments, "json") == NULL) {
        print_row(row, shown);
        if (!print_health(arguments, db))
            status = COMMAND_FAILED;
    } else if (row->fault != NULL) {
        status = command_failed(arguments, "config: %s", row->fault);
    } else {
        print_object(shown);
    }
    json_decref(shown);
    return status;
}

static int run_show(const struct arguments *arguments)
{
    struct db *db = db_open(arguments, DB_READ);
    struct destination_row row = {.json = NULL};
    int status = COMMAND_FAILED;

    if (db == NULL)
        return COMMAND_FAILED;
    if (destination_row_read(db, arguments->operands[0], &row))
        status = row.json != NULL ? show(arguments, db, &row)
                                  : destination_row_missing(arguments, arguments->operands[0]);
    destination_row_release(&row);
    db_close(db);
    return status;
}

static const struct command_option list_options[] = {
    {"condition", "active|parked|disabled|missing", "only those"},
    {"json", NULL, "one JSON object a line, with all columns"},
    {NULL, NULL, NULL},
};

const struct command command_destination_list = {
    "destination list",
    NULL,
    "how all destinations are doing",
    "Shows all destinations: those that are parked first, then those that are missing\n"
    "though events wait for them, those that are disabled, and the others; among\n"
    "equals, where most is pending. 'accepted' is how long ago Twilio last took a\n"
    "message (it is looked for among the latest 100 attempts).\n",
    list_options,
    COMMAND_NEEDS_DATABASE,
    run_list,
    false,
    "mms_operator",
};

static const struct command_option show_options[] = {
    {"json", NULL, "one JSON object, in the form that 'put' takes"},
    {NULL, NULL, NULL},
};

const struct command command_destination_show = {
    "destination show",
    "ID",
    "a destination's settings, and how it is doing",
    "Shows a destination's row, what is wrong with it, whether it is parked and why,\n"
    "what waits, and its latest attempts. Secrets are never shown: \"***\" stands for\n"
    "them, and 'put' takes it as \"as it is in the row\":\n"
    "\n"
    "  mms-worker destination show ID --json >FILE\n"
    "  mms-worker destination put FILE\n",
    show_options,
    COMMAND_NEEDS_DATABASE,
    run_show,
    false,
    "mms_operator",
};
