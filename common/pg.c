#include "pg.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "clock.h"
#include "log.h"
#include "mem.h"

#define STATEMENTS_MAX 8
#define PARAMS_MAX     32
#define UNIT_MAX_BYTES ((size_t)1 << 30)

#define CONNECT_LIMIT (10 * CLOCK_SECOND)
/* A unit is milliseconds of work; after this the connection is taken for dead. */
#define UNIT_LIMIT (30 * CLOCK_SECOND)
#define PAUSE_BASE (100 * CLOCK_MS)
#define PAUSE_MAX  (5 * CLOCK_SECOND)
/* A connection on which nothing fails, because nothing is asked, is trusted after this. */
#define TRUST_AFTER (10 * CLOCK_SECOND)

struct param {
    size_t offset; /* in the unit's data */
    int length;    /* -1: null */
};

struct statement {
    const char *sql;
    int param_count;
    struct param params[PARAMS_MAX];
};

struct pg_unit {
    pg_done *done;
    void *arg;
    struct buf data;
    struct statement statements[STATEMENTS_MAX];
    int statement_count;
    unsigned failures; /* in a row, for the pause before the next try */
    struct pg_unit *next;
};

enum state {
    RESTING,    /* not connected; the timer connects */
    CONNECTING, /* libpq asks for the socket again after each step */
    GREETING,   /* the greeting statement is under way */
    IDLE,
    BUSY,   /* the first unit of the queue is under way */
    PAUSING /* connected; the first unit of the queue failed and waits for its next try */
};

struct pg {
    struct event_base *base;
    struct event *io;
    int watched_fd;
    short watched_for;
    struct event *timer;
    char *conninfo;
    char *name;
    struct pg_options options;
    enum state state;
    PGconn *conn;
    int64_t connections; /* made so far */
    unsigned failures;   /* connections in a row that were of no use */
    bool doubted;        /* the last unit failed for no fault of its own: has yet to be of use */
    struct pg_unit *greeting;
    struct pg_unit *first;
    struct pg_unit **last;
    size_t pending;
    PGresult *results[STATEMENTS_MAX];
    int result_count;
    bool statement_open; /* between a statement's first result and the NULL that ends it */
    int64_t sent;
};

static void advance(struct pg *pg);
static void connect_start(struct pg *pg);

/* ---- units ---- */

struct pg_unit *pg_unit_new(pg_done *done, void *arg)
{
    struct pg_unit *unit = mem_zalloc(sizeof *unit);

    unit->done = done;
    unit->arg = arg;
    buf_init(&unit->data, UNIT_MAX_BYTES);
    return unit;
}

static void unit_free(struct pg_unit *unit)
{
    if (unit == NULL)
        return;
    buf_release(&unit->data);
    free(unit);
}

void pg_unit_statement(struct pg_unit *unit, const char *sql)
{
    if (unit->statement_count == STATEMENTS_MAX)
        abort(); /* a mistake in this program, not in its input */
    unit->statements[unit->statement_count++].sql = sql;
}

static void add_param(struct pg_unit *unit, size_t offset, bool null)
{
    struct statement *statement = &unit->statements[unit->statement_count - 1];

    if (statement->param_count == PARAMS_MAX)
        abort();
    statement->params[statement->param_count++] =
        (struct param){offset, null ? -1 : (int)(unit->data.length - offset)};
}

void pg_unit_int8(struct pg_unit *unit, int64_t value)
{
    size_t offset = unit->data.length;

    buf_add_be64(&unit->data, (uint64_t)value);
    add_param(unit, offset, false);
}

void pg_unit_text(struct pg_unit *unit, const char *text)
{
    size_t offset = unit->data.length;

    if (text != NULL)
        buf_add_string(&unit->data, text);
    add_param(unit, offset, text == NULL);
}

void pg_unit_array(struct pg_unit *unit, const struct pg_array *array)
{
    size_t offset = unit->data.length;

    pg_array_write(array, &unit->data);
    add_param(unit, offset, false);
}

void pg_unit_arrays(struct pg_unit *unit, struct pg_array *arrays, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pg_unit_array(unit, &arrays[i]);
        pg_array_release(&arrays[i]);
    }
}

int pg_unit_statements(const struct pg_unit *unit)
{
    return unit->statement_count;
}

void pg_submit(struct pg *pg, struct pg_unit *unit)
{
    *pg->last = unit;
    pg->last = &unit->next;
    pg->pending++;
    advance(pg);
}

static void unit_drop_first(struct pg *pg)
{
    struct pg_unit *unit = pg->first;

    pg->first = unit->next;
    if (pg->first == NULL)
        pg->last = &pg->first;
    pg->pending--;
    unit_free(unit);
}

/* ---- waiting ---- */

static void arm_timer(struct pg *pg, int64_t us)
{
    struct timeval delay = {.tv_sec = us / CLOCK_SECOND, .tv_usec = us % CLOCK_SECOND};

    event_add(pg->timer, &delay);
}

/* Before the next try after so many failures in a row. */
static void pause_after(struct pg *pg, unsigned failures)
{
    arm_timer(pg, PAUSE_BASE / 2 +
                      backoff_jitter(backoff_exponential(PAUSE_BASE, PAUSE_MAX, failures)));
}

static void on_io(evutil_socket_t fd, short what, void *arg);

static void watch(struct pg *pg, short what)
{
    /* While connecting, libpq may have closed one socket and got the same number for the next. */
    if (pg->state != CONNECTING && pg->watched_fd == PQsocket(pg->conn) && pg->watched_for == what)
        return;
    pg->watched_fd = PQsocket(pg->conn);
    pg->watched_for = what;
    event_del(pg->io);
    event_assign(pg->io, pg->base, PQsocket(pg->conn), (short)(what | EV_PERSIST), on_io, pg);
    event_add(pg->io, NULL);
}

/* Sends what libpq still holds; while there is more, also wait for room on the socket. */
static bool flush(struct pg *pg)
{
    int left = PQflush(pg->conn);

    if (left < 0)
        return false;
    watch(pg, left > 0 ? EV_READ | EV_WRITE : EV_READ);
    return true;
}

/* ---- results ---- */

static void clear_results(struct pg *pg)
{
    for (int i = 0; i < pg->result_count; i++)
        PQclear(pg->results[i]);
    pg->result_count = 0;
    pg->statement_open = false;
}

const char *pg_reason(const char *message, char *line, size_t size)
{
    static const char try[] = "connection to server ";
    size_t length = strcspn(message, "\n");

    snprintf(line, size, "%.*s", (int)length, message);
    while (message[length] != '\0') {
        size_t used = strlen(line);

        message += length + 1;
        length = strcspn(message, "\n");
        if (strncmp(message, try, strlen(try)) == 0)
            snprintf(line + used, size - used, "; %.*s", (int)length, message);
    }
    return line;
}

/*
 * Whether it is the unit's own data that the server won't have: 22 data exceptions, 21 cardinality,
 * 54 limits, and constraints on values. Anything else (a full disk, a missing right, a schema that
 * is being changed, a deadlock) is a condition of the database, and no row must suffer from it.
 */
static bool is_datas_fault(const char *sqlstate)
{
    return strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "21", 2) == 0 ||
           strncmp(sqlstate, "54", 2) == 0 || strcmp(sqlstate, "23505") == 0 ||
           strcmp(sqlstate, "23514") == 0;
}

static void fill_failure(struct pg_reply *reply, const PGresult *failed, char *line, size_t size)
{
    const char *sqlstate = PQresultErrorField(failed, PG_DIAG_SQLSTATE);

    reply->status = PG_FAILED;
    snprintf(reply->sqlstate, sizeof reply->sqlstate, "%s", sqlstate != NULL ? sqlstate : "");
    reply->message = pg_reason(PQresultErrorMessage(failed), line, size);
    reply->transient = !is_datas_fault(reply->sqlstate);
}

static const PGresult *first_failed(const struct pg *pg)
{
    for (int i = 0; i < pg->result_count; i++) {
        ExecStatusType status = PQresultStatus(pg->results[i]);

        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
            return pg->results[i];
    }
    return NULL;
}

/* Gives the first unit its answer; true if it is to be run again. */
static bool answer(struct pg *pg, const struct pg_reply *reply)
{
    struct pg_unit *unit = pg->first;

    if (unit->done(unit->arg, reply) == PG_REPEAT) {
        unit->failures++;
        return true;
    }
    unit_drop_first(pg);
    return false;
}

/* ---- connection ---- */

static void disconnect(struct pg *pg)
{
    event_del(pg->io);
    pg->watched_fd = -1;
    event_del(pg->timer);
    clear_results(pg);
    PQfinish(pg->conn);
    pg->conn = NULL;
}

/* The connection is gone or was refused: says so once, and tries again after a pause. */
static void lose(struct pg *pg, const char *reason)
{
    char line[256];
    bool busy = pg->state == BUSY;
    struct pg_reply reply = {.status = PG_LOST, .transient = true};

    pg_reason(reason, line, sizeof line);
    pg->doubted = pg->doubted || busy;
    reply.message = line;
    disconnect(pg);
    unit_free(pg->greeting);
    pg->greeting = NULL;
    pg->state = RESTING;
    pg->options.changed(pg->options.arg, pg, line);
    pause_after(pg, pg->failures++);
    if (busy) {
        reply.repeats = pg->first->failures;
        answer(pg, &reply);
    }
}

static void on_notice(void *arg, const char *message)
{
    char line[256];

    (void)arg;
    log_debug("notice from PostgreSQL", log_str("notice", pg_reason(message, line, sizeof line)));
}

static void connect_start(struct pg *pg)
{
    const char *keywords[] = {"dbname", "fallback_application_name", "tcp_user_timeout", NULL};
    const char *values[] = {pg->conninfo, pg->name, "30000", NULL};

    pg->state = CONNECTING;
    pg->conn = PQconnectStartParams(keywords, values, 1);
    if (pg->conn == NULL || PQstatus(pg->conn) == CONNECTION_BAD) {
        lose(pg, pg->conn != NULL ? PQerrorMessage(pg->conn) : "out of memory");
        return;
    }
    PQsetNoticeProcessor(pg->conn, on_notice, pg);
    arm_timer(pg, CONNECT_LIMIT);
    watch(pg, EV_WRITE);
}

static bool send_unit(struct pg *pg, const struct pg_unit *unit)
{
    for (int i = 0; i < unit->statement_count; i++) {
        const struct statement *statement = &unit->statements[i];
        const char *values[PARAMS_MAX];
        int lengths[PARAMS_MAX], formats[PARAMS_MAX];

        for (int p = 0; p < statement->param_count; p++) {
            const struct param *param = &statement->params[p];

            /* An empty text may lie in a buffer that was never allocated. */
            values[p] = param->length < 0    ? NULL
                        : param->length == 0 ? ""
                                             : unit->data.data + param->offset;
            lengths[p] = param->length;
            formats[p] = 1;
        }
        if (!PQsendQueryParams(pg->conn, statement->sql, statement->param_count, NULL, values,
                               lengths, formats, 1))
            return false;
    }
    return PQpipelineSync(pg->conn) == 1;
}

static void begin_unit(struct pg *pg, struct pg_unit *unit, enum state state)
{
    pg->state = state;
    pg->sent = clock_now();
    arm_timer(pg, UNIT_LIMIT);
    if (!send_unit(pg, unit) || !flush(pg))
        lose(pg, PQerrorMessage(pg->conn));
}

/* Starts the next unit if the connection is free for it. */
static void advance(struct pg *pg)
{
    if (pg->state == IDLE && pg->first != NULL)
        begin_unit(pg, pg->first, BUSY);
}

static void become_idle(struct pg *pg)
{
    pg->state = IDLE;
    event_del(pg->timer);
    advance(pg);
}

static void trust(struct pg *pg)
{
    pg->failures = 0;
    pg->doubted = false;
    pg->options.changed(pg->options.arg, pg, NULL);
}

static void come_up(struct pg *pg)
{
    pg->state = IDLE;
    pg->connections++;
    event_del(pg->timer);
    if (pg->doubted)
        arm_timer(pg, TRUST_AFTER);
    else
        trust(pg);
    advance(pg);
}

static enum pg_next greeting_unused(void *arg, const struct pg_reply *reply)
{
    (void)arg;
    (void)reply;
    return PG_FINISHED;
}

static void greet(struct pg *pg)
{
    if (PQsetnonblocking(pg->conn, 1) != 0 || PQenterPipelineMode(pg->conn) != 1) {
        lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    if (pg->options.greeting == NULL) {
        come_up(pg);
        return;
    }
    pg->greeting = pg_unit_new(greeting_unused, NULL);
    pg_unit_statement(pg->greeting, pg->options.greeting);
    begin_unit(pg, pg->greeting, GREETING);
}

static void connect_step(struct pg *pg)
{
    switch (PQconnectPoll(pg->conn)) {
    case PGRES_POLLING_READING:
        watch(pg, EV_READ);
        break;
    case PGRES_POLLING_WRITING:
        watch(pg, EV_WRITE);
        break;
    case PGRES_POLLING_OK:
        greet(pg);
        break;
    default:
        lose(pg, PQerrorMessage(pg->conn));
    }
}

static void finish_greeting(struct pg *pg)
{
    const PGresult *failed = first_failed(pg);
    const char *sqlstate = failed != NULL ? PQresultErrorField(failed, PG_DIAG_SQLSTATE) : "";
    const char *refusal = pg->options.greeted(
        pg->options.arg, failed != NULL || pg->result_count == 0 ? NULL : pg->results[0],
        sqlstate != NULL ? sqlstate : "");

    if (refusal != NULL) {
        lose(pg, refusal);
        return;
    }
    clear_results(pg);
    unit_free(pg->greeting);
    pg->greeting = NULL;
    come_up(pg);
}

/* Tells of a server that answers but refuses, and when it does so no more. */
static void note_refusal(struct pg *pg, const struct pg_reply *reply)
{
    bool refused = reply->status == PG_FAILED && reply->transient;

    if (refused) {
        pg->doubted = true;
        pg->options.changed(pg->options.arg, pg, reply->message);
    } else if (pg->doubted) {
        trust(pg);
    }
}

static void finish_unit(struct pg *pg)
{
    struct pg_reply reply = {.results = pg->results,
                             .repeats = pg->first->failures,
                             .sent = pg->sent,
                             .received = clock_now()};
    const PGresult *failed = first_failed(pg);
    bool misfit, again;
    char line[256];

    if (failed != NULL)
        fill_failure(&reply, failed, line, sizeof line);
    /* 25006: read-only. 42…: a name or a right is missing; the schema may have changed. The
       greeting finds out. */
    misfit = strcmp(reply.sqlstate, "25006") == 0 || strncmp(reply.sqlstate, "42", 2) == 0;
    note_refusal(pg, &reply);
    /* Not IDLE yet: a unit that the callback submits must not be sent before this one is gone. */
    again = answer(pg, &reply);
    clear_results(pg);
    if (misfit) {
        pg->state = IDLE;
        lose(pg, line);
    } else if (again) {
        pg->state = PAUSING;
        pause_after(pg, pg->first->failures);
    } else {
        become_idle(pg);
    }
}

/* Takes what libpq has; true if the whole unit is answered. */
static bool take_results(struct pg *pg)
{
    while (!PQisBusy(pg->conn)) {
        PGresult *result = PQgetResult(pg->conn);

        if (result == NULL) {
            if (!pg->statement_open)
                return false;
            pg->statement_open = false;
        } else if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            return true;
        } else if (!pg->statement_open && pg->result_count < STATEMENTS_MAX) {
            pg->results[pg->result_count++] = result;
            pg->statement_open = true;
        } else {
            PQclear(result);
        }
    }
    return false;
}

/*
 * Takes what has come. Of a TLS record libpq takes as much as it has room for; the rest is decoded
 * already, and the socket doesn't become readable for it.
 */
static bool consume(PGconn *conn)
{
    SSL *ssl = PQsslStruct(conn, "OpenSSL");

    do {
        if (PQconsumeInput(conn) != 1)
            return false;
    } while (ssl != NULL && SSL_pending(ssl) > 0);
    return true;
}

static void exchange(struct pg *pg, short what)
{
    if ((what & EV_READ) != 0 && !consume(pg->conn)) {
        lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    if (!flush(pg)) {
        lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    if (pg->state != GREETING && pg->state != BUSY) {
        if (PQstatus(pg->conn) == CONNECTION_BAD)
            lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    if (!take_results(pg)) {
        if (PQstatus(pg->conn) == CONNECTION_BAD)
            lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    if (pg->state == GREETING)
        finish_greeting(pg);
    else
        finish_unit(pg);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct pg *pg = arg;

    (void)fd;
    if (pg->state == CONNECTING)
        connect_step(pg);
    else
        exchange(pg, what);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct pg *pg = arg;

    (void)fd;
    (void)what;
    switch (pg->state) {
    case RESTING:
        connect_start(pg);
        break;
    case CONNECTING:
        lose(pg, "no connection within 10 s");
        break;
    case GREETING:
    case BUSY:
        lose(pg, "no answer within 30 s");
        break;
    case PAUSING:
        pg->state = IDLE;
        advance(pg);
        break;
    case IDLE:
        if (pg->doubted)
            trust(pg);
        break;
    }
}

struct pg *pg_open(struct event_base *base, const struct pg_options *options)
{
    struct pg *pg = mem_zalloc(sizeof *pg);

    pg->base = base;
    pg->options = *options;
    pg->conninfo = mem_strdup(options->conninfo);
    pg->name = mem_strdup(options->name);
    pg->last = &pg->first;
    pg->timer = evtimer_new(base, on_timer, pg);
    pg->io = event_new(base, -1, 0, on_io, pg);
    arm_timer(pg, 0);
    return pg;
}

void pg_close(struct pg *pg)
{
    if (pg == NULL)
        return;
    disconnect(pg);
    unit_free(pg->greeting);
    while (pg->first != NULL)
        unit_drop_first(pg);
    event_free(pg->io);
    event_free(pg->timer);
    mem_wipe(pg->conninfo, strlen(pg->conninfo));
    free(pg->conninfo);
    free(pg->name);
    free(pg);
}

bool pg_is_up(const struct pg *pg)
{
    return pg->state >= IDLE;
}

int64_t pg_connections(const struct pg *pg)
{
    return pg->connections;
}

size_t pg_pending(const struct pg *pg)
{
    return pg->pending;
}
