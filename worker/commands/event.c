#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "sql.h"
#include "worker/commands/command.h"
#include "worker/commands/commands.h"
#include "worker/commands/db.h"
#include "worker/commands/table.h"
#include "worker/commands/wrap.h"

/* Where what is said begins, behind its label. */
#define TEXT_COLUMN 14

/* ---- pieces of text; owned by the caller ---- */

/* A member of the story as text, "" if it is absent; borrowed. */
static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_member_string(object, name);

    return text != NULL ? text : "";
}

static long long integer_of(const json_t *object, const char *name)
{
    return json_integer_value(json_member(object, name));
}

/* "2026-11-22T07:48:29.123456+00:00" to the second, as tables have it. */
static char *moment_of(const json_t *object, const char *name)
{
    char *moment = mem_printf("%.19s", text_of(object, name));
    char *letter = strchr(moment, 'T');

    if (letter != NULL)
        *letter = ' ';
    return moment;
}

static char *published_of(const json_t *object)
{
    char *moment = moment_of(object, "published_at");
    char *text =
        moment[0] != '\0' ? mem_printf("published %s", moment) : mem_strdup("not published yet");

    free(moment);
    return text;
}

/* ---- parts of the story ---- */

static void print_each(const json_t *object, const char *name, void (*print)(const json_t *part))
{
    const json_t *parts = json_object_get(object, name);

    for (size_t i = 0; i < json_array_size(parts); i++)
        print(json_array_get(parts, i));
}

/* Prints what `text` says and frees it. */
static void say(const char *label, char *text)
{
    wrap_print(2, label, TEXT_COLUMN, text);
    free(text);
}

static void say_moment(const char *label, const json_t *object, const char *name)
{
    if (json_member(object, name) != NULL)
        say(label, moment_of(object, name));
}

/* A command may have several lines; they are for copying, so they stay as they are. */
static void print_command(const json_t *command)
{
    const char *text = json_string_value(command);

    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        char *line = mem_copy(text, length);

        printf("%*s", TEXT_COLUMN + 2, "");
        table_print_text(line, 0);
        putchar('\n');
        free(line);
        text += length + (text[length] == '\n');
    }
}

static void print_step(const json_t *step)
{
    wrap_print(2, "What to do", TEXT_COLUMN, text_of(step, "say"));
    print_each(step, "run", print_command);
}

static void print_status(const json_t *status)
{
    char *moment = moment_of(status, "received_at");
    char *published = json_is_true(json_object_get(status, "advanced"))
                          ? published_of(status)
                          : mem_strdup("told late, has no result");

    say("", mem_printf("%s %s (%s, %s)", moment, text_of(status, "status"),
                       text_of(status, "source"), published));
    free(moment);
    free(published);
}

static void print_attempt(const json_t *attempt)
{
    char *label = mem_printf("Attempt %lld", integer_of(attempt, "attempt"));
    char *published = published_of(attempt);

    say(label,
        mem_printf("%s%s%s%s; result %s", text_of(attempt, "outcome"),
                   json_member(attempt, "reason") != NULL ? " (" : "", text_of(attempt, "reason"),
                   json_member(attempt, "reason") != NULL ? ")" : "", published));
    wrap_print(2, "", TEXT_COLUMN, text_of(attempt, "story"));
    print_each(attempt, "statuses", print_status);
    free(label);
    free(published);
}

static void print_opted_out(const json_t *opted_out)
{
    char *since = moment_of(opted_out, "since");

    say("Opted out",
        mem_printf("%s from %s, since %s; nothing is sent there until the row in "
                   "mms.opt_outs is deleted",
                   text_of(opted_out, "recipient"), text_of(opted_out, "sender"), since));
    free(since);
}

static void print_source(const char *label, const json_t *object, const char *moment_name)
{
    char *moment = moment_of(object, moment_name);

    say(label, mem_printf("%s from %s/%lld/%lld", moment, text_of(object, "topic"),
                          integer_of(object, "partition"), integer_of(object, "offset")));
    free(moment);
}

/* "Delivery to d (its name): accepted" */
static void print_heading(const json_t *delivery)
{
    const char *name = text_of(delivery, "destination_name");
    const char *condition = text_of(delivery, "destination_condition");
    bool is_active = strcmp(condition, "active") == 0;
    char *replay = mem_printf("Replay %lld to ", integer_of(delivery, "replay"));
    char *what = mem_printf("%s%s%s%s: %s%s%s", text_of(delivery, "destination_id"),
                            name[0] != '\0' ? " (" : "", name, name[0] != '\0' ? ")" : "",
                            text_of(delivery, "state"), is_active ? "" : "; the destination is ",
                            is_active ? "" : condition);

    putchar('\n');
    wrap_print(0, integer_of(delivery, "replay") > 0 ? replay : "Delivery to ", 2, what);
    free(replay);
    free(what);
}

static void print_delivery(const json_t *delivery)
{
    print_heading(delivery);
    print_source("Taken in", delivery, "taken_in_at");
    if (json_member(delivery, "connection_id") != NULL)
        wrap_print(2, "Connection", TEXT_COLUMN, text_of(delivery, "connection_id"));
    print_each(delivery, "attempts", print_attempt);
    say_moment("Finished", delivery, "finished_at");
    print_each(delivery, "opted_out", print_opted_out);
    if (json_member(delivery, "waits") != NULL)
        wrap_print(2, "Waits", TEXT_COLUMN, text_of(delivery, "waits"));
    print_each(delivery, "next", print_step);
}

static void print_rejected(const json_t *rejected)
{
    const char *destination_id = text_of(rejected, "destination_id");
    char *what = mem_printf("%s%s", text_of(rejected, "reason"),
                            destination_id[0] != '\0' ? "; it named the destination " : "");
    char *whole = mem_printf("%s%s", what, destination_id);

    putchar('\n');
    wrap_print(0, "Rejected: ", 2, whole);
    print_source("Rejected", rejected, "rejected_at");
    wrap_print(2, "Because", TEXT_COLUMN, text_of(rejected, "detail"));
    say("Dead letter", published_of(rejected));
    say_moment("Replayed", rejected, "replayed_at");
    print_each(rejected, "next", print_step);
    free(what);
    free(whole);
}

/* ---- the command ---- */

static void print_story(const char *event_id, const char *text)
{
    json_t *story = json_loads(text, 0, NULL);

    wrap_print(0, "Event ", 6, event_id);
    print_each(story, "deliveries", print_delivery);
    print_each(story, "rejected", print_rejected);
    json_decref(story);
}

static int print(const struct arguments *arguments, const PGresult *result)
{
    const char *text = PQgetvalue(result, 0, 0);

    if (strcmp(PQgetvalue(result, 0, 1), "0") == 0)
        return command_failed(
            arguments,
            "no such event: '%s' (not taken in from Kafka yet, removed by prune, or another id?)",
            arguments->operands[0]);
    if (argument(arguments, "json") != NULL)
        puts(text);
    else
        print_story(arguments->operands[0], text);
    return COMMAND_DONE;
}

static int run(const struct arguments *arguments)
{
    struct db *db = db_open(arguments, DB_READ);
    const char *raw = argument(arguments, "json") != NULL ? "true" : "false";
    PGresult *result;
    int status = COMMAND_FAILED;

    if (db == NULL)
        return COMMAND_FAILED;
    result = db_query(db, sql_event, DB_PARAMETERS(arguments->operands[0], raw));
    if (result != NULL)
        status = print(arguments, result);
    PQclear(result);
    db_close(db);
    return status;
}

static const struct command_option options[] = {
    {"json", NULL, "one JSON document in one line, with the event, requests and answers"},
    {NULL, NULL, NULL},
};

const struct command command_event = {
    "event",
    "ID",
    "the whole story of one event",
    "Shows what became of an event: where it was delivered to (replays too), every attempt in\n"
    "words, what became of the messages, why it waits, what to do; or why it was rejected.\n"
    "Times are UTC. Phone numbers are shown. Exit status 1: there is no such event.\n",
    options,
    COMMAND_NEEDS_DATABASE,
    run,
    false,
    "mms_reader",
};
