/* `destination test`: what would be sent. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "sql.h"
#include "worker/commands/command.h"
#include "worker/commands/commands.h"
#include "worker/commands/db.h"
#include "worker/commands/destination_row.h"
#include "worker/commands/input.h"
#include "worker/commands/preview.h"
#include "worker/commands/row.h"
#include "worker/commands/table.h"

#define JSON_MAX_BYTES ((size_t)4 << 20)
#define NOTES_MAX      6

/* One look at a destination with one event. */
struct test {
    const struct arguments *arguments;
    struct db *db;
    struct secrets *secrets;
    const char *id;
    struct destination_row row;
    const char *source; /* where the event comes from: given, latest, sample */
    char *event;        /* JSON text */
    struct preview preview;
    char *notes[NOTES_MAX]; /* what else is to be known, a line each */
    int note_count;
};

/* ---- the event ---- */

/* What an event needs and who tries one needn't write. */
static char *completed(struct test *test, const char *what, const char *text, size_t length)
{
    json_t *event = input_json(test->arguments, what, text, length);
    const char *other;
    char *whole = NULL;

    if (event == NULL)
        return NULL;
    if (json_object_get(event, "event_id") == NULL)
        json_object_set_new(event, "event_id", json_string("evt_test"));
    if (json_object_get(event, "destination_id") == NULL)
        json_object_set_new(event, "destination_id", json_string(test->id));
    other = json_member_string(event, "destination_id");
    if (!json_is_object(event))
        command_failed(test->arguments, "%s: not an object, expected an event", what);
    else if (other != NULL && strcmp(other, test->id) != 0)
        command_failed(test->arguments, "%s: destination_id: '%s', expected '%s' or none", what,
                       other, test->id);
    else
        whole = row_text(event, JSON_COMPACT);
    json_decref(event);
    return whole;
}

static bool is_json(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return *text == '{';
}

static bool take_given(struct test *test, const char *given)
{
    char *text;
    size_t length;

    test->source = "given";
    if (is_json(given)) {
        test->event = completed(test, "--event", given, strlen(given));
    } else {
        text = input_read(test->arguments, given[0] == '@' ? given + 1 : given, &length);
        if (text != NULL)
            test->event = completed(test, input_name(given), text, length);
        free(text);
    }
    return test->event != NULL;
}

static bool take_latest(struct test *test)
{
    static const char sample[] = "{\"payload\":{\"message\":\"This is a test\"}}";
    PGresult *rows = db_query(test->db, sql_destination_event, DB_PARAMETERS(test->id));

    if (rows == NULL)
        return false;
    if (PQntuples(rows) > 0) {
        test->source = "latest";
        test->event = mem_strdup(PQgetvalue(rows, 0, 0));
    } else {
        test->source = "sample";
        test->event = completed(test, "sample", sample, strlen(sample));
    }
    PQclear(rows);
    return test->event != NULL;
}

/* ---- what else is to be known ---- */

static void note(struct test *test, char *text)
{
    test->notes[test->note_count++] = text;
}

/* A worker would make no request; it asks in the same words. */
static bool look_at_opt_outs(struct test *test)
{
    const char *request = test->preview.evidence;
    char *requests = db_text_array(&request, 1);
    PGresult *rows = db_query(test->db, sql_opt_outs, DB_PARAMETERS(requests));

    free(requests);
    if (rows == NULL)
        return false;
    if (PQntuples(rows) > 0) {
        test->preview.ready = false;
        test->preview.reason = "RECIPIENT_OPTED_OUT";
        snprintf(test->preview.why, sizeof test->preview.why,
                 "the recipient opted out from this sender (%.19s); not sent while mms.opt_outs "
                 "has a row of it",
                 PQgetvalue(rows, 0, 1));
    }
    PQclear(rows);
    return true;
}

static bool look_at_condition(struct test *test)
{
    PGresult *rows = db_query(test->db, sql_destination_condition, DB_PARAMETERS(test->id));
    const char *condition, *reason;

    if (rows == NULL)
        return false;
    condition = PQntuples(rows) > 0 ? PQgetvalue(rows, 0, PQfnumber(rows, "condition")) : "";
    reason = PQntuples(rows) > 0 ? PQgetvalue(rows, 0, PQfnumber(rows, "parked_reason")) : "";
    if (strcmp(condition, "disabled") == 0)
        note(test, mem_strdup("the destination is disabled: its events wait"));
    if (strcmp(condition, "parked") == 0)
        note(test, mem_printf("the destination is parked (%s): its events wait", reason));
    PQclear(rows);
    return true;
}

static bool look(struct test *test)
{
    if (test->preview.warning[0] != '\0')
        note(test, mem_strdup(test->preview.warning));
    if (test->preview.missing[0] != '\0')
        note(test, mem_strdup(test->preview.missing));
    if (test->preview.sms_fallback)
        note(test, mem_strdup("if the recipient can't receive MMS it is sent once more as SMS, "
                              "with links to the media"));
    if (strcmp(test->source, "sample") == 0)
        note(test,
             mem_strdup("no event has come yet, this is a sample; try your own with --event"));
    return look_at_condition(test) && (test->preview.evidence == NULL || look_at_opt_outs(test));
}

/* ---- for people ---- */

/* A line for each line of `text`, the first behind `name`. */
static void print_field(const char *name, const char *text)
{
    while (true) {
        size_t length = strcspn(text, "\n");
        char *line = mem_copy(text, length);

        printf("  %-20s  ", name);
        table_print_text(line, 0);
        puts("");
        free(line);
        if (text[length] == '\0')
            return;
        text += length + 1;
        name = "";
    }
}

static void print_request(const struct preview *preview)
{
    printf("POST ");
    table_print_text(preview->url, 0);
    printf("\nas %s, with its %s\n\n", preview->user,
           strncmp(preview->user, "SK", 2) == 0 ? "API key's secret" : "auth token");
    for (size_t i = 0; i < preview->form.count; i++)
        print_field(preview->form.pairs[i].name, preview->form.pairs[i].value);
}

static void print_for_people(const struct test *test)
{
    const struct preview *preview = &test->preview;

    printf("event ");
    table_print_text(preview->event_id != NULL ? preview->event_id : "?", 0);
    printf(" (%s)\n",
           strcmp(test->source, "latest") == 0 ? "the latest of this destination" : test->source);
    if (preview->url != NULL)
        print_request(preview);
    puts("");
    for (int i = 0; i < test->note_count; i++)
        print_field("note", test->notes[i]);
    if (preview->ready)
        puts("This would be sent. Nothing was.");
}

/* ---- for programs ---- */

static void add_form(struct buf *out, const struct form *form)
{
    json_add_name(out, "parameters");
    buf_add_char(out, '[');
    for (size_t i = 0; i < form->count; i++) {
        buf_add_string(out, i > 0 ? ",{" : "{");
        json_add_text(out, "name", form->pairs[i].name);
        json_add_text(out, "value", form->pairs[i].value);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void add_notes(struct buf *out, const struct test *test)
{
    json_add_name(out, "notes");
    buf_add_char(out, '[');
    for (int i = 0; i < test->note_count; i++) {
        buf_add_string(out, i > 0 ? "," : "");
        json_escape(out, test->notes[i]);
    }
    buf_add_char(out, ']');
}

static void print_json(const struct test *test)
{
    const struct preview *preview = &test->preview;
    struct buf out;

    buf_init(&out, JSON_MAX_BYTES);
    buf_add_char(&out, '{');
    json_add_text(&out, "destination_id", test->id);
    json_add_text(&out, "event_id", preview->event_id);
    json_add_text(&out, "event_source", test->source);
    json_add_bool(&out, "would_be_sent", preview->ready);
    json_add_text(&out, "reason", preview->reason);
    json_add_text(&out, "detail", preview->ready ? NULL : preview->why);
    json_add_text(&out, "method", preview->url != NULL ? "POST" : NULL);
    json_add_text(&out, "url", preview->url);
    json_add_text(&out, "user", preview->user);
    add_form(&out, &preview->form);
    add_notes(&out, test);
    buf_add_char(&out, '}');
    puts(out.data);
    buf_release(&out);
}

/* ---- the command ---- */

static int make_and_print(struct test *test)
{
    const struct settings *settings = test->arguments->settings;
    const struct preview_input input = {
        .twilio_base_url = settings->twilio_base_url,
        .status_callback_url = settings->status_callback_url,
        .secrets = test->secrets,
        .destination_id = test->id,
        .type = row_type(test->row.json),
        .config = test->row.config,
        .event = test->event,
        .event_length = strlen(test->event),
    };

    preview_make(&input, &test->preview);
    if (!look(test))
        return COMMAND_FAILED;
    if (argument(test->arguments, "json") != NULL)
        print_json(test);
    else
        print_for_people(test);
    if (test->preview.ready)
        return COMMAND_DONE;
    return command_failed(test->arguments, "would not be sent: %s: %s", test->preview.reason,
                          test->preview.why);
}

static int try_event(struct test *test)
{
    const char *given = argument(test->arguments, "event");

    if (!destination_row_read(test->db, test->id, &test->row))
        return COMMAND_FAILED;
    if (test->row.json == NULL)
        return destination_row_missing(test->arguments, test->id);
    if (!(given != NULL ? take_given(test, given) : take_latest(test)))
        return COMMAND_FAILED;
    return make_and_print(test);
}

static int run_test(const struct arguments *arguments)
{
    struct test test = {.arguments = arguments, .id = arguments->operands[0]};
    int status;

    test.secrets = command_secrets(arguments);
    if (test.secrets == NULL)
        return COMMAND_WRONG;
    test.db = db_open(arguments, DB_READ);
    status = test.db != NULL ? try_event(&test) : COMMAND_FAILED;
    for (int i = 0; i < test.note_count; i++)
        free(test.notes[i]);
    preview_release(&test.preview);
    destination_row_release(&test.row);
    free(test.event);
    db_close(test.db);
    secrets_close(test.secrets);
    return status;
}

static const struct command_option options[] = {
    {"event", "FILE|-|JSON", "the event; else the destination's latest, or a sample"},
    {"json", NULL, "one JSON object"},
    {NULL, NULL, NULL},
};

const struct command command_destination_test = {
    "destination test",
    "ID",
    "show the request that an event would become, and send nothing",
    "Renders an event for a destination and shows the request to Twilio: URL and form\n"
    "fields, decoded, in their order. Nothing is sent, and the credentials are not\n"
    "shown. event_id and destination_id may be missing in the event. Exit status 1 if\n"
    "a worker would not send it: the message then names the field and the token.\n"
    "MMS_TWILIO_BASE_URL and MMS_STATUS_CALLBACK_URL count as for a worker, and secrets\n"
    "(env:, file:, sealed:) are looked for here, in this command's environment.\n",
    options,
    COMMAND_NEEDS_DATABASE,
    run_test,
    false,
    "mms_operator",
};
