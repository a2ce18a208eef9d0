#include "worker/commands/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/utf8.h"
#include "worker/commands/columns.h"

#define WIDTH_MIN      40
#define LINE_MAX_BYTES 4096
/* Header, totals, two blank lines and two headings, lag: what is always there. */
#define FIXED_LINES 7
#define WORKERS_MIN 3 /* lines that workers have at least, if there are so many */

#define MINUTE INT64_C(60)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* ---- pieces ---- */

void frame_add_age(struct buf *out, int64_t seconds)
{
    if (seconds < 2 * MINUTE)
        buf_printf(out, "%" PRId64 "s", seconds < 0 ? 0 : seconds);
    else if (seconds < HOUR)
        buf_printf(out, "%" PRId64 "m", seconds / MINUTE);
    else if (seconds < DAY)
        buf_printf(out, "%" PRId64 "h%" PRId64 "m", seconds / HOUR, seconds % HOUR / MINUTE);
    else
        buf_printf(out, "%" PRId64 "d%" PRId64 "h", seconds / DAY, seconds % DAY / HOUR);
}

static void add_count(struct buf *out, int64_t count)
{
    if (count > FRAME_COUNT_MAX)
        buf_printf(out, "%dk+", FRAME_COUNT_MAX / 1000);
    else
        buf_printf(out, "%" PRId64, count);
}

/* A page that lines are added to, as long as there is room. */
struct page {
    struct buf *out;
    int width;
    int left; /* lines */
};

static void add_line(struct page *page, const char *text)
{
    if (page->left <= 0)
        return;
    page->left--;
    columns_add_last(page->out, text, page->width);
    buf_add_char(page->out, '\n');
}

static void add_more(struct page *page, int64_t count)
{
    char text[48];

    snprintf(text, sizeof text, "… and %" PRId64 " more", count);
    add_line(page, text);
}

/* ---- header ---- */

static void add_header(struct page *page, const struct frame *frame)
{
    struct buf line;

    buf_init(&line, LINE_MAX_BYTES);
    buf_printf(&line, "mms-worker  %.10s %.8s UTC", frame->at, frame->at + 11);
    if (frame->database_trouble == NULL)
        buf_printf(&line, "  sent/min %" PRId64, frame->sent);
    if (frame->interval_s > 0) {
        char right[48];

        snprintf(right, sizeof right, "  every %d s, q: quit", frame->interval_s);
        for (int blanks = page->width - columns_of(line.data) - columns_of(right); blanks > 0;
             blanks--)
            buf_add_char(&line, ' ');
        buf_add_string(&line, right);
    }
    add_line(page, line.data);
    buf_release(&line);
}

static void add_totals(struct page *page, const struct frame *frame)
{
    const struct {
        const char *name;
        int64_t count;
    } totals[] = {
        {"waiting", frame->waiting}, {"sending", frame->sending},   {"unknown", frame->unknown},
        {"parked", frame->parked},   {"disabled", frame->disabled}, {"outbox", frame->outbox},
    };
    struct buf line;

    if (frame->database_trouble != NULL)
        return;
    buf_init(&line, LINE_MAX_BYTES);
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        buf_printf(&line, "%s%s ", i > 0 ? "  " : "", totals[i].name);
        add_count(&line, totals[i].count);
    }
    add_line(page, line.data);
    buf_release(&line);
}

/* ---- destinations ---- */

enum column {
    C_ID,
    C_WAITING,
    C_OLDEST,
    C_PACE,
    C_ACCEPTED,
    C_RETRY,
    C_FAILED,
    C_UNKNOWN,
    C_STATE,
    COLUMNS
};

static const struct {
    const char *heading;
    int width; /* at 80 columns; the first and the last one grow */
} columns[COLUMNS] = {
    [C_ID] = {"DESTINATION", 20}, [C_WAITING] = {"WAIT", 6}, [C_OLDEST] = {"OLDEST", 6},
    [C_PACE] = {"/S", 4},         [C_ACCEPTED] = {"ACC", 4}, [C_RETRY] = {"RETRY", 5},
    [C_FAILED] = {"FAIL", 4},     [C_UNKNOWN] = {"UNKN", 4}, [C_STATE] = {"STATE, PROBE IN", 19},
};

/* What is left of 80 columns goes to the name, as far as it is of use, and to the state. */
static int width_of(const struct page *page, enum column column)
{
    int more = page->width > 80 ? page->width - 80 : 0;
    int of_id = more / 2 < 30 ? more / 2 : 30;

    if (column == C_ID)
        return columns[column].width + of_id;
    return columns[column].width + (column == C_STATE ? more - of_id : 0);
}

static void add_cell(struct page *page, struct buf *line, enum column column, struct buf *cell)
{
    int width = width_of(page, column);

    if (column > 0)
        buf_add_char(line, ' ');
    if (column == C_STATE)
        columns_add_last(line, cell->data, width);
    else
        columns_add(line, cell->data, width, column != C_ID);
    buf_clear(cell);
}

static void add_headings(struct page *page)
{
    struct buf line, cell;

    buf_init(&line, LINE_MAX_BYTES);
    buf_init(&cell, LINE_MAX_BYTES);
    for (int column = 0; column < COLUMNS; column++) {
        buf_add_string(&cell, columns[column].heading);
        add_cell(page, &line, (enum column)column, &cell);
    }
    add_line(page, line.data);
    buf_release(&cell);
    buf_release(&line);
}

static void add_state(struct buf *cell, const struct frame_destination *destination)
{
    if (strcmp(destination->condition, "active") == 0) {
        buf_add_string(cell, "");
        return;
    }
    buf_add_string(cell, destination->condition);
    if (destination->parked_s < 0)
        return;
    buf_add_char(cell, ' ');
    frame_add_age(cell, destination->parked_s);
    if (destination->parked_reason != NULL)
        buf_printf(cell, " %s", destination->parked_reason);
}

static void add_value(struct buf *cell, const struct frame_destination *d, enum column column)
{
    const int64_t counts[COLUMNS] = {[C_WAITING] = d->waiting,
                                     [C_ACCEPTED] = d->accepted,
                                     [C_RETRY] = d->retry,
                                     [C_FAILED] = d->failed + d->expired,
                                     [C_UNKNOWN] = d->unknown};

    if (column == C_ID)
        buf_add_string(cell, d->id);
    else if (column == C_STATE)
        add_state(cell, d);
    else if (column == C_PACE)
        buf_printf(cell, "%.1f", (double)d->sends_10s / 10);
    else if (column == C_OLDEST && d->oldest_s < 0)
        buf_add_char(cell, '-');
    else if (column == C_OLDEST)
        frame_add_age(cell, d->oldest_s);
    else
        add_count(cell, counts[column]);
}

static void add_destination(struct page *page, const struct frame_destination *destination)
{
    struct buf line, cell;

    buf_init(&line, LINE_MAX_BYTES);
    buf_init(&cell, LINE_MAX_BYTES);
    for (int column = 0; column < COLUMNS; column++) {
        add_value(&cell, destination, (enum column)column);
        add_cell(page, &line, (enum column)column, &cell);
    }
    while (line.length > 0 && line.data[line.length - 1] == ' ')
        line.data[--line.length] = '\0';
    add_line(page, line.data);
    buf_release(&cell);
    buf_release(&line);
}

/* At most `room` lines. */
static void add_destinations(struct page *page, const struct frame *frame, int room)
{
    int shown = frame->destination_count;

    if (frame->database_trouble != NULL)
        return;
    add_line(page, "");
    add_headings(page);
    if (frame->destinations_all > room || shown > room)
        shown = shown < room - 1 ? shown : room - 1;
    for (int i = 0; i < shown; i++)
        add_destination(page, &frame->destinations[i]);
    if (frame->destinations_all > shown)
        add_more(page, frame->destinations_all - (shown > 0 ? shown : 0));
}

/* ---- workers ---- */

static int64_t sends_of(const struct frame *frame, const char *name)
{
    for (int i = 0; i < frame->worker_count; i++) {
        if (strcmp(frame->workers[i].name, name) == 0)
            return frame->workers[i].sends;
    }
    return 0;
}

static bool is_member(const struct frame *frame, const char *name)
{
    for (int i = 0; frame->group != NULL && i < frame->group->member_count; i++) {
        if (strcmp(frame->group->members[i].client_id, name) == 0)
            return true;
    }
    return false;
}

/* Calls `add` for each worker: the members of the group, then who has sent and is no member. */
static int each_worker(const struct frame *frame,
                       void (*add)(void *arg, const char *name, const struct group_member *member),
                       void *arg)
{
    int count = 0;

    for (int i = 0; frame->group != NULL && i < frame->group->member_count; i++, count++) {
        if (add != NULL)
            add(arg, frame->group->members[i].client_id, &frame->group->members[i]);
    }
    for (int i = 0; i < frame->worker_count; i++) {
        if (is_member(frame, frame->workers[i].name))
            continue;
        if (add != NULL)
            add(arg, frame->workers[i].name, NULL);
        count++;
    }
    return count;
}

struct worker_lines {
    struct page *page;
    const struct frame *frame;
    int room, all;
    int shown;
};

static void add_worker_line(struct page *page, const char *name, const char *sends,
                            const char *partitions)
{
    struct buf line;
    int of_name = page->width > 80 ? 48 : 30;

    buf_init(&line, LINE_MAX_BYTES);
    columns_add(&line, name, of_name, false);
    buf_add_char(&line, ' ');
    columns_add(&line, sends, 8, true);
    buf_add_string(&line, "  ");
    columns_add_last(&line, partitions, page->width - of_name - 11);
    add_line(page, line.data);
    buf_release(&line);
}

static void add_worker(void *arg, const char *name, const struct group_member *member)
{
    struct worker_lines *lines = arg;
    const struct frame *frame = lines->frame;
    char sends[24];

    if (lines->shown >= (lines->all > lines->room ? lines->room - 1 : lines->room))
        return;
    lines->shown++;
    snprintf(sends, sizeof sends, "%" PRId64, sends_of(frame, name));
    add_worker_line(lines->page, name, frame->database_trouble != NULL ? "?" : sends,
                    member != NULL && member->partitions[0] != '\0' ? member->partitions
                    : member != NULL                                ? "none"
                    : frame->group != NULL                          ? "no member of the group"
                                                                    : "?");
}

static void add_lag(struct page *page, const struct frame *frame)
{
    struct buf line;

    buf_init(&line, LINE_MAX_BYTES);
    buf_printf(&line, "group %s %s, lag:", frame->group_name, frame->group->state);
    for (int i = 0; i < frame->group->topic_count; i++)
        buf_printf(&line, "%s %s %" PRId64, i > 0 ? "," : "", frame->group->topics[i].name,
                   frame->group->topics[i].lag);
    if (frame->group->topic_count == 0)
        buf_add_string(&line, " nothing is committed yet");
    add_line(page, line.data);
    buf_release(&line);
}

static void add_workers(struct page *page, const struct frame *frame)
{
    struct worker_lines lines = {.page = page,
                                 .frame = frame,
                                 .room = page->left - 2 - (frame->group != NULL),
                                 .all = each_worker(frame, NULL, NULL)};

    add_line(page, "");
    if (frame->group != NULL)
        add_lag(page, frame);
    if (lines.all == 0)
        return;
    add_worker_line(page, "WORKER", "SENT/MIN", "PARTITIONS");
    each_worker(frame, add_worker, &lines);
    if (lines.all > lines.shown)
        add_more(page, lines.all - lines.shown);
}

/* ---- a frame ---- */

/* In two lines, if it is long: what went wrong stands at its end. */
static void add_trouble(struct page *page, const char *what, const char *trouble)
{
    struct buf line;
    size_t end;

    if (trouble == NULL)
        return;
    buf_init(&line, LINE_MAX_BYTES);
    buf_printf(&line, "%s: %s", what, trouble);
    end = utf8_prefix(line.data, (size_t)page->width);
    while (end > 0 && line.data[end] != '\0' && line.data[end] != ' ')
        end--;
    if (line.data[end] == ' ' && end > 0) {
        line.data[end] = '\0';
        add_line(page, line.data);
        add_line(page, line.data + end + 1);
    } else {
        add_line(page, line.data);
    }
    buf_release(&line);
}

int frame_room(int height)
{
    int room = height - FIXED_LINES;

    return room > 1 ? room : 1;
}

/* Lines for destinations: all but what is fixed, and what workers need. */
static int room_for_destinations(const struct frame *frame, int height)
{
    int workers = each_worker(frame, NULL, NULL);
    int room = height - FIXED_LINES - (frame->kafka_trouble != NULL);

    /* Workers get what destinations leave. */
    if (frame->destination_count + workers > room)
        room -= workers < WORKERS_MIN ? workers : WORKERS_MIN;
    else
        room -= workers;
    return room > 1 ? room : 1;
}

void frame_add_text(struct buf *out, const struct frame *frame, int width, int height)
{
    const int endless = 1 << 20;
    struct page page = {.out = out,
                        .width = width < WIDTH_MIN ? WIDTH_MIN : width,
                        .left = height > 0 ? height : endless};

    add_header(&page, frame);
    add_totals(&page, frame);
    add_trouble(&page, "PostgreSQL", frame->database_trouble);
    add_trouble(&page, "Kafka", frame->kafka_trouble);
    add_destinations(&page, frame, height > 0 ? room_for_destinations(frame, height) : endless);
    add_workers(&page, frame);
}

/* ---- JSON ---- */

static void json_add_seconds(struct buf *out, const char *name, int64_t seconds)
{
    if (seconds >= 0)
        json_add_integer(out, name, seconds);
    else
        json_add_text(out, name, NULL);
}

static void json_add_rows(struct buf *out, const struct frame *frame)
{
    json_add_name(out, "destinations");
    buf_add_char(out, '[');
    for (int i = 0; i < frame->destination_count; i++) {
        const struct frame_destination *d = &frame->destinations[i];

        buf_add_string(out, i > 0 ? ",{" : "{");
        json_add_text(out, "destination_id", d->id);
        json_add_text(out, "condition", d->condition);
        json_add_integer(out, "waiting", d->waiting);
        json_add_seconds(out, "oldest_s", d->oldest_s);
        json_add_integer(out, "sends_last_10s", d->sends_10s);
        json_add_integer(out, "accepted", d->accepted);
        json_add_integer(out, "retry", d->retry);
        json_add_integer(out, "failed", d->failed);
        json_add_integer(out, "unknown", d->unknown);
        json_add_integer(out, "expired", d->expired);
        json_add_seconds(out, "parked_s", d->parked_s);
        json_add_text(out, "parked_reason", d->parked_reason);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
    json_add_integer(out, "destinations_all", frame->destinations_all);
}

static void json_add_worker(void *arg, const char *name, const struct group_member *member)
{
    struct worker_lines *lines = arg;

    buf_add_string(lines->page->out, lines->shown++ > 0 ? ",{" : "{");
    json_add_text(lines->page->out, "worker", name);
    if (lines->frame->database_trouble == NULL)
        json_add_integer(lines->page->out, "sent_last_minute", sends_of(lines->frame, name));
    if (lines->frame->group != NULL)
        json_add_bool(lines->page->out, "member", member != NULL);
    if (member != NULL) {
        json_add_text(lines->page->out, "host", member->host);
        json_add_text(lines->page->out, "partitions", member->partitions);
    }
    buf_add_char(lines->page->out, '}');
}

static void json_add_group(struct buf *out, const struct frame *frame)
{
    json_add_name(out, "group");
    buf_add_char(out, '{');
    json_add_text(out, "name", frame->group_name);
    json_add_text(out, "state", frame->group->state);
    json_add_name(out, "lag");
    buf_add_char(out, '{');
    for (int i = 0; i < frame->group->topic_count; i++)
        json_add_integer(out, frame->group->topics[i].name, frame->group->topics[i].lag);
    buf_add_string(out, "}}");
}

void frame_add_json(struct buf *out, const struct frame *frame)
{
    struct page page = {.out = out};
    struct worker_lines lines = {.page = &page, .frame = frame};

    buf_add_char(out, '{');
    json_add_text(out, "at", frame->at);
    if (frame->database_trouble != NULL) {
        json_add_text(out, "postgresql", frame->database_trouble);
    } else {
        json_add_integer(out, "waiting", frame->waiting);
        json_add_integer(out, "sending", frame->sending);
        json_add_integer(out, "unknown", frame->unknown);
        json_add_integer(out, "parked", frame->parked);
        json_add_integer(out, "disabled", frame->disabled);
        json_add_integer(out, "sent_last_minute", frame->sent);
        json_add_integer(out, "outbox", frame->outbox);
        json_add_rows(out, frame);
    }
    if (frame->kafka_trouble != NULL)
        json_add_text(out, "kafka", frame->kafka_trouble);
    if (frame->group != NULL)
        json_add_group(out, frame);
    json_add_name(out, "workers");
    buf_add_char(out, '[');
    each_worker(frame, json_add_worker, &lines);
    buf_add_string(out, "]}");
}
