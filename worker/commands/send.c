#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "sql.h"
#include "worker/commands/client.h"
#include "worker/commands/commands.h"
#include "worker/commands/db.h"
#include "worker/commands/input.h"
#include "worker/commands/table.h"
#include "worker/event.h"

#define TIMEOUT_DEFAULT (INT64_C(120) * CLOCK_SECOND)
#define LOOK_PAUSE      (INT64_C(200) * CLOCK_MS)

static const struct command_option options[] = {
    {"destination", "ID", "the destination; required"},
    {"payload", "JSON", "the payload; @FILE reads it from a file, - from stdin; {} unless told"},
    {"event-id", "ID", "the event's id; a new one unless told"},
    {"connection", "ID", "the event's connection_id"},
    {"topic", "TOPIC", "the topic; the first of MMS_EVENT_TOPICS unless told"},
    {"wait", NULL, "follow the event to its result"},
    {"timeout", "DURATION", "how long to --wait; 2m unless told"},
    {"json", NULL, "one JSON object a line"},
    {.name = NULL},
};

/* One run of the command. */
struct send {
    const struct arguments *arguments;
    char event_id[64]; /* of our own making */
    char topic[256];
    json_t *event;
    int64_t timeout;
    struct client_record record;
};

static const char *event_text(const struct send *send, const char *name)
{
    return json_member_string(send->event, name);
}

/* ---- the event ---- */

static void new_event_id(char *ret_id, size_t size)
{
    unsigned char random[12];

    if (getrandom(random, sizeof random, 0) != sizeof random)
        abort(); /* cannot happen for so few bytes (getrandom(2)) */
    snprintf(ret_id, size, "evt_");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(ret_id + 4 + 2 * i, size - 4 - 2 * i, "%02x", random[i]);
}

/* The payload as the option gives it; NULL after a complaint. */
static json_t *read_payload(const struct arguments *arguments)
{
    const char *option = argument(arguments, "payload");
    bool elsewhere = option != NULL && (option[0] == '@' || strcmp(option, "-") == 0);
    json_t *payload;
    size_t length;
    char *text;

    if (option == NULL)
        return json_object();
    if (!elsewhere)
        return input_json(arguments, "--payload (JSON, @FILE or -)", option, strlen(option));
    text = input_read(arguments, option[0] == '@' ? option + 1 : option, &length);
    if (text == NULL)
        return NULL;
    payload = input_json(arguments, "--payload", text, length);
    free(text);
    return payload;
}

/* The event as one line of JSON, judged as intake will; owned by the caller. */
static char *compose(struct send *send, size_t *ret_length)
{
    const struct arguments *arguments = send->arguments;
    struct event_rejection rejection;
    struct event event;
    struct buf text;

    buf_init(&text, 2 * EVENT_MAX_BYTES);
    json_append(&text, send->event);
    if (!event_parse(text.data, text.length, &event, &rejection)) {
        command_failed(arguments, "the event would be rejected: %s: %s", rejection.reason,
                       rejection.detail);
        event_release(&event);
        buf_release(&text);
        return NULL;
    }
    event_release(&event);
    *ret_length = text.length;
    return buf_detach(&text);
}

static bool build(struct send *send)
{
    const struct arguments *arguments = send->arguments;
    const char *id = argument(arguments, "event-id");
    const char *connection = argument(arguments, "connection");
    json_t *payload = read_payload(arguments);

    if (payload == NULL)
        return false;
    new_event_id(send->event_id, sizeof send->event_id);
    send->event = json_object();
    json_object_set_new(send->event, "event_id", json_string(id != NULL ? id : send->event_id));
    json_object_set_new(send->event, "destination_id",
                        json_string(argument(arguments, "destination")));
    if (connection != NULL)
        json_object_set_new(send->event, "connection_id", json_string(connection));
    json_object_set_new(send->event, "payload", payload);
    return true;
}

/* The option's topic, or the first of the settings that is none of a regular expression. */
static bool choose_topic(struct send *send)
{
    const char *option = argument(send->arguments, "topic");
    const char *rest = send->arguments->settings->event_topics;

    if (option != NULL) {
        snprintf(send->topic, sizeof send->topic, "%s", option);
        return true;
    }
    while (*rest != '\0') {
        size_t blanks = strspn(rest, " ,");
        size_t length = strcspn(rest + blanks, " ,");

        if (length > 0 && rest[blanks] != '^') {
            snprintf(send->topic, sizeof send->topic, "%.*s", (int)length, rest + blanks);
            return true;
        }
        rest += blanks + length;
    }
    command_wrong(send->arguments,
                  "MMS_EVENT_TOPICS has regular expressions only; expected --topic TOPIC");
    return false;
}

static int produce(struct send *send)
{
    struct client *client;
    const char *trouble;
    char *value = compose(send, &send->record.value_length);

    if (value == NULL)
        return COMMAND_FAILED;
    client = client_open_producer(send->arguments);
    if (client == NULL) {
        free(value);
        return COMMAND_FAILED;
    }
    send->record.topic = send->topic;
    send->record.key = event_text(send, "event_id");
    send->record.key_length = strlen(send->record.key);
    send->record.value = value;
    trouble = client_produce(client, &send->record);
    if (trouble != NULL)
        command_failed(send->arguments, "Kafka: topic '%s': %s", send->topic, trouble);
    client_close(client);
    free(value);
    return trouble == NULL ? COMMAND_DONE : COMMAND_FAILED;
}

/* ---- what it says ---- */

static bool as_json(const struct send *send)
{
    return argument(send->arguments, "json") != NULL;
}

static void say_produced(const struct send *send)
{
    struct buf line;

    if (!as_json(send)) {
        printf("%s is on %s, partition %d, offset %lld\n", event_text(send, "event_id"),
               send->topic, (int)send->record.partition, (long long)send->record.offset);
    } else if (argument(send->arguments, "wait") == NULL) {
        buf_init(&line, 4096);
        buf_add_char(&line, '{');
        json_add_text(&line, "event_id", event_text(send, "event_id"));
        json_add_text(&line, "destination_id", event_text(send, "destination_id"));
        json_add_text(&line, "topic", send->topic);
        json_add_integer(&line, "partition", send->record.partition);
        json_add_integer(&line, "offset", send->record.offset);
        buf_add_char(&line, '}');
        puts(line.data);
        buf_release(&line);
    }
    fflush(stdout);
}

static void say(const char *label, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    printf("  %-9s", label);
    table_print_text(text, 0);
    putchar('\n');
}

/* Another record with the same ids came first: that one is the event, ours its repetition. */
static bool is_repetition(const struct send *send, const PGresult *row)
{
    return strcmp(db_text(row, 0, "topic"), send->topic) != 0 ||
           strtoll(db_text(row, 0, "partition"), NULL, 10) != send->record.partition ||
           strtoll(db_text(row, 0, "offset"), NULL, 10) != send->record.offset;
}

/* Why a delivery still waits; NULL: for its slot, as all do. */
static const char *obstacle(const PGresult *row)
{
    if (db_text(row, 0, "disabled") != NULL && db_text(row, 0, "disabled")[0] == 't')
        return "the destination is disabled; its events are held";
    if (db_text(row, 0, "parked_until") != NULL)
        return db_text(row, 0, "parked_reason") != NULL
                   ? "the destination is parked"
                   : "the destination waits for how a probe goes";
    if (strcmp(db_text(row, 0, "state"), "unknown") == 0)
        return "it may have been sent; Twilio is asked about it";
    return NULL;
}

static void tell(const struct send *send, const PGresult *row)
{
    const char *reason = db_text(row, 0, "reason");

    if (as_json(send)) {
        puts(PQgetvalue(row, 0, PQnfields(row) - 1));
        return;
    }
    printf("%s%s%s\n", db_text(row, 0, "state"), reason != NULL ? ": " : "",
           reason != NULL ? reason : "");
    if (db_text(row, 0, "over") != NULL && is_repetition(send, row))
        say("note", "this event was here before; nothing is sent for a repetition");
    say("detail", db_text(row, 0, "detail"));
    say("story", db_text(row, 0, "story"));
    if (db_text(row, 0, "over") != NULL && db_text(row, 0, "over")[0] == 'f') {
        say("waits", obstacle(row));
        say("parked", db_text(row, 0, "parked_reason"));
    }
}

/* ---- waiting ---- */

/* The rejection or the delivery, as far as there is one; NULL after a complaint. */
static PGresult *look(struct db *db, const struct send *send)
{
    char partition[16], offset[24];
    PGresult *row;

    snprintf(partition, sizeof partition, "%d", (int)send->record.partition);
    snprintf(offset, sizeof offset, "%lld", (long long)send->record.offset);
    row = table_query(db, sql_send_rejected, DB_PARAMETERS(send->topic, partition, offset));
    if (row == NULL || PQntuples(row) > 0)
        return row;
    PQclear(row);
    return table_query(
        db, sql_send_delivery,
        DB_PARAMETERS(event_text(send, "event_id"), event_text(send, "destination_id")));
}

static bool is_over(const PGresult *row)
{
    return PQntuples(row) > 0 &&
           (db_text(row, 0, "over") == NULL || db_text(row, 0, "over")[0] == 't');
}

static void pause_until_next_look(void)
{
    const struct timespec pause = {.tv_nsec = LOOK_PAUSE * 1000};

    nanosleep(&pause, NULL);
}

static int out_of_time(const struct send *send, const PGresult *row)
{
    if (PQntuples(row) > 0) {
        tell(send, row);
        command_failed(send->arguments,
                       "no result in time; it goes on by itself, 'mms-worker event %s' shows it",
                       event_text(send, "event_id"));
    } else {
        command_failed(send->arguments,
                       "no worker has taken '%s' in yet; is one running, with this topic and this "
                       "database? 'mms-worker event %s' shows it later",
                       event_text(send, "event_id"), event_text(send, "event_id"));
    }
    return COMMAND_PENDING;
}

static int wait_for_result(struct db *db, const struct send *send)
{
    int64_t end = clock_now() + send->timeout;

    for (;;) {
        PGresult *row = look(db, send);
        int status = COMMAND_FAILED;

        if (row == NULL)
            return status;
        if (is_over(row)) {
            tell(send, row);
            status =
                strcmp(db_text(row, 0, "state"), "accepted") == 0 ? COMMAND_DONE : COMMAND_FAILED;
        } else if (clock_now() >= end) {
            status = out_of_time(send, row);
        } else {
            PQclear(row);
            pause_until_next_look();
            continue;
        }
        PQclear(row);
        return status;
    }
}

/* ---- the command ---- */

static int run(struct send *send)
{
    bool wait = argument(send->arguments, "wait") != NULL;
    struct db *db = NULL;
    int status;

    /* Before the event is on the topic: if the database is away, nothing has been done. */
    if (wait && (db = db_open(send->arguments, DB_READ)) == NULL)
        return COMMAND_FAILED;
    status = produce(send);
    if (status == COMMAND_DONE)
        say_produced(send);
    if (status == COMMAND_DONE && wait)
        status = wait_for_result(db, send);
    db_close(db);
    return status;
}

static int send_event(const struct arguments *arguments)
{
    struct send send = {.arguments = arguments, .timeout = TIMEOUT_DEFAULT};
    int status;

    if (argument(arguments, "destination") == NULL)
        return command_wrong(arguments, "--destination ID is missing");
    if (argument(arguments, "timeout") != NULL &&
        !argument_duration(arguments, "timeout", &send.timeout))
        return COMMAND_WRONG;
    if (!choose_topic(&send))
        return COMMAND_WRONG;
    status = build(&send) ? run(&send) : COMMAND_FAILED;
    json_decref(send.event);
    return status;
}

const struct command command_send = {
    "send",
    NULL,
    "put an event on the topic, and see what becomes of it",
    "Puts an event for a destination on the event topic, as any producer would. With --wait it\n"
    "is followed to its result in PostgreSQL.\n"
    "\n"
    "Exit status with --wait: 0 if Twilio took the message, 1 if the event was rejected, failed,\n"
    "expired, or was left to a person, 3 if there was no result in time: it goes on by itself.\n",
    options,
    COMMAND_NEEDS_ALL,
    send_event,
    false,
    "mms_reader",
};
