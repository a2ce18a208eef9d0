#include "worker/marks.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "sql.h"

/* Marks are gathered for this long before they are written. */
#define LINGER    (100 * CLOCK_MS)
#define MARKS_MAX 500

struct marks {
    struct pg *pg;
    struct event *timer;
    struct mark *published; /* to be written */
    struct mark *writing;   /* by a statement that is under way */
    size_t count;           /* of those to be written */
};

static void arm(struct marks *marks)
{
    const struct timeval linger = {.tv_usec = LINGER};

    if (!event_pending(marks->timer, EV_TIMEOUT, NULL))
        event_add(marks->timer, &linger);
}

struct mark *mark_new(enum mark_kind kind, const char *id, int64_t number, int which)
{
    struct mark *mark = mem_zalloc(sizeof *mark);

    mark->kind = kind;
    mark->id = mem_strdup(id);
    mark->number = number;
    mark->which = which;
    mark->records = 1;
    return mark;
}

void mark_free(struct mark *mark)
{
    void (*settled)(void *arg, bool published) = mark->settled;
    bool published = !mark->failed;
    void *arg = mark->arg;

    free(mark->id);
    free(mark->message_sid);
    free(mark->status);
    free(mark);
    if (settled != NULL)
        settled(arg, published);
}

static void list_free(struct mark *mark)
{
    while (mark != NULL) {
        struct mark *next = mark->next;

        mark_free(mark);
        mark = next;
    }
}

/* ---- writing ---- */

static void add_attempt(struct pg_array *a, const struct mark *mark)
{
    pg_array_add_text(a++, mark->id);
    pg_array_add_int8(a++, mark->number);
    pg_array_add_int4(a++, mark->which);
    pg_array_add_uuid(a++, mark->result_id);
}

static void add_status(struct pg_array *a, const struct mark *mark)
{
    pg_array_add_text(a++, mark->id);
    pg_array_add_int8(a++, mark->number);
    pg_array_add_int4(a++, mark->which);
    pg_array_add_text(a++, mark->message_sid);
    pg_array_add_text(a++, mark->status);
}

static void add_rejected(struct pg_array *a, const struct mark *mark)
{
    pg_array_add_text(a++, mark->id);
    pg_array_add_int4(a++, mark->which);
    pg_array_add_int8(a++, mark->number);
}

#define COLUMNS_MAX 5

/* In the order of enum mark_kind: statements, and their columns in their order. */
static const struct {
    const char *sql;
    size_t columns;
    enum pg_type types[COLUMNS_MAX];
    void (*add)(struct pg_array *a, const struct mark *mark);
} kinds[] = {
    {sql_published_attempts, 4, {PG_TEXT, PG_INT8, PG_INT4, PG_UUID}, add_attempt},
    {sql_published_statuses, 5, {PG_TEXT, PG_INT8, PG_INT4, PG_TEXT, PG_TEXT}, add_status},
    {sql_published_rejected, 3, {PG_TEXT, PG_INT4, PG_INT8}, add_rejected},
};

/* The statement for marks of a kind, unless there are none. */
static void kind_statement(struct pg_unit *unit, enum mark_kind kind, const struct mark *mark)
{
    struct pg_array a[COLUMNS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < kinds[kind].columns; i++)
        pg_array_init(&a[i], kinds[kind].types[i]);
    for (; mark != NULL; mark = mark->next) {
        if (mark->kind == kind) {
            kinds[kind].add(a, mark);
            count++;
        }
    }
    if (count == 0)
        return; /* nothing to release either */
    pg_unit_statement(unit, kinds[kind].sql);
    pg_unit_arrays(unit, a, kinds[kind].columns);
}

static enum pg_next written(void *arg, const struct pg_reply *reply)
{
    struct marks *marks = arg;
    struct mark *list = marks->writing;

    if (reply->status == PG_LOST || (reply->status == PG_FAILED && reply->transient))
        return PG_REPEAT;
    if (reply->status == PG_FAILED)
        log_error("published results not marked; they will be published again",
                  log_str("error", reply->message));
    marks->writing = NULL;
    list_free(list);
    if (marks->published != NULL)
        arm(marks);
    return PG_FINISHED;
}

static void write_down(struct marks *marks)
{
    struct pg_unit *unit;

    if (marks->writing != NULL || marks->published == NULL)
        return;
    event_del(marks->timer);
    marks->writing = marks->published;
    marks->published = NULL;
    marks->count = 0;
    unit = pg_unit_new(written, marks);
    kind_statement(unit, MARK_ATTEMPT, marks->writing);
    kind_statement(unit, MARK_STATUS, marks->writing);
    kind_statement(unit, MARK_REJECTED, marks->writing);
    pg_submit(marks->pg, unit);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    write_down(arg);
}

void marks_published(struct marks *marks, struct mark *mark)
{
    mark->next = marks->published;
    marks->published = mark;
    if (++marks->count >= MARKS_MAX)
        write_down(marks);
    else
        arm(marks);
}

bool marks_idle(const struct marks *marks)
{
    return marks->published == NULL && marks->writing == NULL;
}

struct marks *marks_open(struct event_base *base, struct pg *pg)
{
    struct marks *marks = mem_zalloc(sizeof *marks);

    marks->pg = pg;
    marks->timer = evtimer_new(base, on_timer, marks);
    return marks;
}

/* Nobody is there any more to be told. */
static void list_drop(struct mark *list)
{
    for (struct mark *mark = list; mark != NULL; mark = mark->next)
        mark->settled = NULL;
    list_free(list);
}

void marks_close(struct marks *marks)
{
    list_drop(marks->published);
    list_drop(marks->writing);
    event_free(marks->timer);
    free(marks);
}
