#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "sql.h"
#include "worker/commands/client.h"
#include "worker/commands/commands.h"
#include "worker/commands/db.h"
#include "worker/commands/frame.h"
#include "worker/commands/group.h"
#include "worker/commands/terminal.h"

#define INTERVAL_SECONDS 2
#define DATABASE_SECONDS 5    /* for a statement, or for connecting */
#define KAFKA_MS         2000 /* for a call, while somebody waits for the frame after */
#define KAFKA_FIRST_MS   5000 /* with connecting */
#define ROWS_JSON        1000
#define ROWS_ONCE        50
#define WIDTH_MAX        1000
#define FRAME_MAX_BYTES  ((size_t)4 << 20)

struct top {
    const struct arguments *arguments;
    int interval_s;
    struct db *db; /* NULL: not connected */
    char database_trouble[512];
    PGresult *totals, *rows, *senders;
    struct frame_destination *destinations;
    struct frame_worker *workers;
    struct client *client; /* NULL: Kafka's settings are of no use */
    bool met;              /* Kafka has answered before */
    char kafka_trouble[512];
    struct group group;
    char at[CLOCK_TEXT_SIZE];
    struct frame frame;
};

/* ---- PostgreSQL ---- */

static bool read_database(struct top *top, int rows)
{
    char bound[16], count[16];
    const char *destination = argument(top->arguments, "destination");

    snprintf(bound, sizeof bound, "%d", FRAME_COUNT_MAX);
    snprintf(count, sizeof count, "%d", rows);
    if (top->db == NULL)
        top->db = db_try(&command_top, top->arguments->settings, DB_READ, DATABASE_SECONDS,
                         top->database_trouble, sizeof top->database_trouble);
    return top->db != NULL && db_begin(top->db) &&
           (top->totals = db_query(top->db, sql_top_totals, DB_PARAMETERS(bound))) != NULL &&
           (top->rows = db_query(top->db, sql_top_destinations,
                                 DB_PARAMETERS(destination, count, bound))) != NULL &&
           (top->senders = db_query(top->db, sql_top_workers, 0, NULL)) != NULL &&
           db_commit(top->db);
}

static int64_t number(const PGresult *rows, int row, const char *name, int64_t otherwise)
{
    const char *text = db_text(rows, row, name);

    return text != NULL ? strtoll(text, NULL, 10) : otherwise;
}

static void fill_destinations(struct top *top)
{
    const PGresult *rows = top->rows;
    int count = PQntuples(rows);

    top->destinations = mem_zalloc((size_t)(count + 1) * sizeof *top->destinations);
    for (int i = 0; i < count; i++)
        top->destinations[i] = (struct frame_destination){
            .id = db_text(rows, i, "destination_id"),
            .condition = db_text(rows, i, "condition"),
            .waiting = number(rows, i, "waiting", 0),
            .oldest_s = number(rows, i, "oldest_s", -1),
            .accepted = number(rows, i, "accepted", 0),
            .retry = number(rows, i, "retry", 0),
            .failed = number(rows, i, "failed", 0),
            .unknown = number(rows, i, "unknown", 0),
            .expired = number(rows, i, "expired", 0),
            .sends_10s = number(rows, i, "sends_10s", 0),
            .parked_s = number(rows, i, "parked_s", -1),
            .parked_reason = db_text(rows, i, "parked_reason"),
        };
    top->frame.destinations = top->destinations;
    top->frame.destination_count = count;
    top->frame.destinations_all = count > 0 ? number(rows, 0, "all_rows", 0) : 0;
    top->frame.parked = count > 0 ? number(rows, 0, "all_parked", 0) : 0;
}

static void fill_workers(struct top *top)
{
    int count = PQntuples(top->senders);

    top->workers = mem_zalloc((size_t)(count + 1) * sizeof *top->workers);
    for (int i = 0; i < count; i++) {
        top->workers[i] = (struct frame_worker){.name = db_text(top->senders, i, "worker"),
                                                .sends = number(top->senders, i, "sends", 0)};
        top->frame.sent += top->workers[i].sends;
    }
    top->frame.workers = top->workers;
    top->frame.worker_count = count;
}

static void fill_totals(struct top *top)
{
    struct frame *frame = &top->frame;

    snprintf(top->at, sizeof top->at, "%s", db_text(top->totals, 0, "at"));
    frame->waiting = number(top->totals, 0, "waiting", 0);
    frame->sending = number(top->totals, 0, "sending", 0);
    frame->unknown = number(top->totals, 0, "unknown", 0);
    frame->disabled = number(top->totals, 0, "disabled", 0);
    frame->outbox = number(top->totals, 0, "outbox", 0);
}

/* ---- Kafka ---- */

static bool read_kafka(struct top *top)
{
    const char *name = top->arguments->settings->consumer_group;
    int timeout = top->met ? KAFKA_MS : KAFKA_FIRST_MS;

    if (top->client == NULL)
        return false; /* and it is known why */
    top->met = group_describe(top->client, name, timeout, &top->group, top->kafka_trouble,
                              sizeof top->kafka_trouble) &&
               group_measure(top->client, name, timeout, &top->group, top->kafka_trouble,
                             sizeof top->kafka_trouble);
    return top->met;
}

/* ---- a frame ---- */

static void take_frame(struct top *top, int rows)
{
    struct frame *frame = &top->frame;

    *frame = (struct frame){.at = top->at,
                            .interval_s = top->interval_s,
                            .group_name = top->arguments->settings->consumer_group};
    clock_format(clock_wall(), top->at);
    if (read_database(top, rows)) {
        fill_totals(top);
        fill_destinations(top);
        fill_workers(top);
    } else { /* connected afresh for the next one */
        frame->database_trouble = top->database_trouble;
        db_close(top->db);
        top->db = NULL;
    }
    if (read_kafka(top))
        frame->group = &top->group;
    else
        frame->kafka_trouble = top->kafka_trouble;
}

static void drop_frame(struct top *top)
{
    PQclear(top->totals);
    PQclear(top->rows);
    PQclear(top->senders);
    top->totals = top->rows = top->senders = NULL;
    free(top->destinations);
    free(top->workers);
    top->destinations = NULL;
    top->workers = NULL;
    group_release(&top->group);
}

/* ---- ways to show it ---- */

static void show_live(struct top *top)
{
    enum terminal_event event = TERMINAL_CHANGED;
    struct buf out;
    int width, height;

    buf_init(&out, FRAME_MAX_BYTES);
    terminal_size(&width, &height);
    take_frame(top, frame_room(height));
    while (event != TERMINAL_QUIT) {
        if (event == TERMINAL_TIME) {
            drop_frame(top);
            take_frame(top, frame_room(height));
        }
        terminal_size(&width, &height);
        buf_clear(&out);
        frame_add_text(&out, &top->frame, width, height);
        terminal_draw(out.data);
        event = terminal_wait(top->interval_s * 1000);
    }
    drop_frame(top);
    buf_release(&out);
}

/* The width of what isn't a terminal: COLUMNS, if somebody has set it. */
static int plain_width(void)
{
    const char *columns = getenv("COLUMNS");
    long set = columns != NULL ? strtol(columns, NULL, 10) : 0;
    int width = set > 0 && set <= WIDTH_MAX ? (int)set : 0, height;

    if (isatty(STDOUT_FILENO))
        terminal_size(&width, &height);
    return width > 0 && width <= WIDTH_MAX ? width : 80;
}

/* One frame on stdout. Without PostgreSQL there is little to be seen: that has failed. */
static int print_frame(struct top *top, bool json)
{
    struct buf out;
    int status = COMMAND_DONE;

    buf_init(&out, FRAME_MAX_BYTES);
    take_frame(top, json ? ROWS_JSON : ROWS_ONCE);
    if (json) {
        frame_add_json(&out, &top->frame);
        buf_add_char(&out, '\n');
    } else {
        frame_add_text(&out, &top->frame, plain_width(), 0);
    }
    fputs(out.data, stdout);
    fflush(stdout);
    if (top->frame.database_trouble != NULL)
        status = command_failed(top->arguments, "PostgreSQL: %s", top->frame.database_trouble);
    drop_frame(top);
    buf_release(&out);
    return status;
}

static int print_frames(struct top *top)
{
    bool json = argument(top->arguments, "json") != NULL;
    int seconds = top->interval_s;
    bool again = json && argument(top->arguments, "interval") != NULL &&
                 argument(top->arguments, "once") == NULL;

    top->interval_s = 0; /* nobody is told how to leave */
    for (;;) {
        int status = print_frame(top, json);

        if (!again)
            return status;
        nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
    }
}

static int run(const struct arguments *arguments)
{
    static const char *const own[] = {NULL};
    struct top top = {.arguments = arguments, .interval_s = INTERVAL_SECONDS};
    bool plain = argument(arguments, "once") != NULL || argument(arguments, "json") != NULL;
    int64_t interval;
    int status = COMMAND_DONE;

    if (argument(arguments, "interval") != NULL) {
        if (!argument_duration(arguments, "interval", &interval))
            return COMMAND_WRONG;
        if (interval < CLOCK_SECOND || interval > 3600 * CLOCK_SECOND)
            return command_wrong(arguments, "--interval: expected 1s to 1h");
        top.interval_s = (int)(interval / CLOCK_SECOND);
    }
    top.client = client_try(arguments->settings, RD_KAFKA_PRODUCER, own, top.kafka_trouble,
                            sizeof top.kafka_trouble);
    if (!plain && terminal_open()) {
        show_live(&top);
        terminal_close();
    } else {
        status = print_frames(&top);
    }
    db_close(top.db);
    client_close(top.client);
    return status;
}

static const struct command_option options[] = {
    {"once", NULL, "print one frame as plain text; so if there is no terminal"},
    {"interval", "DURATION", "a frame each (2s)"},
    {"destination", "ID", "this destination alone, even if nothing happens there"},
    {"json", NULL, "one JSON object; with --interval one after the other"},
    {NULL, NULL, NULL},
};

const struct command command_top = {
    "top",
    NULL,
    "watch destinations and workers",
    "A live view: what waits in all, each destination that has work, and each worker with its\n"
    "partitions; destinations that need attention first. q or Ctrl-C leaves.\n"
    "\n"
    "WAIT what waits, OLDEST for how long the oldest of it, /S sends a second (of the last ten\n"
    "seconds); ACC, RETRY, FAIL, UNKN outcomes of the last minute. Counts end at 100k+; OLDEST is\n"
    "that of the next thousand.\n"
    "Exit status of a single frame: 1 if PostgreSQL could not be asked.\n",
    options,
    COMMAND_NEEDS_ALL,
    run,
    false,
    "mms_reader",
};
