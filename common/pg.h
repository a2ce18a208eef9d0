#ifndef COMMON_PG_H
#define COMMON_PG_H

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "pg_value.h"

/*
 * One connection to PostgreSQL on the event loop. It connects by itself, and again whenever it
 * lost the server, for ever, with growing pauses. Work is handed over as units: a unit is one
 * transaction, its statements travel together in one round trip (libpq's pipeline mode), and its
 * answer comes to one callback. Units of a connection run one after the other, in order.
 *
 * Where the conninfo names several hosts, libpq tries them in turn within 10 s; a first host that
 * doesn't answer at all uses them up. Host names are resolved by libpq, which blocks.
 *
 * Only the extended protocol, no named statements, no session state: a transaction-pooling
 * PgBouncer may stand in between.
 */
struct pg;
struct pg_unit;

enum pg_status {
    PG_OK,
    PG_FAILED, /* the server refused it; nothing of it happened */
    PG_LOST    /* the connection broke; it happened wholly or not at all, nobody can say which */
};

struct pg_reply {
    enum pg_status status;
    PGresult *const *results; /* PG_OK: one for each statement, borrowed for the callback */
    char sqlstate[6];         /* PG_FAILED */
    const char *message;      /* one line for the log */
    bool transient;           /* not its data is at fault: the same unit may succeed later */
    unsigned repeats;         /* how often it has been repeated before */
    int64_t sent, received;   /* monotonic, around the round trip */
};

enum pg_next {
    PG_FINISHED,
    PG_REPEAT /* run the same unit again, once connected, after a pause that grows */
};

/* Gets the answer to a unit. May submit further units. */
typedef enum pg_next pg_done(void *arg, const struct pg_reply *reply);

/*
 * Judges a fresh connection by the answer to the greeting statement (`result` is NULL if it
 * failed, then `sqlstate` says how). Returns NULL to accept it, otherwise why not (static text or
 * owned by the caller); the connection is closed and tried again later.
 */
typedef const char *pg_greeted(void *arg, const PGresult *result, const char *sqlstate);

/*
 * Told when the connection is of use (`reason` NULL), and when it is lost or refused, or the server
 * refuses what it is asked for (why). After a connection that broke or was given up with a unit
 * under way, the next one is of use once a unit has succeeded on it, or none was asked for in 10 s.
 */
typedef void pg_changed(void *arg, struct pg *pg, const char *reason);

struct pg_options {
    const char *conninfo; /* libpq's connection string or URI; "" means libpq's PG* variables */
    const char *name;     /* for application_name, unless the conninfo has one */
    const char *greeting; /* a statement run on each fresh connection, or NULL */
    pg_greeted *greeted;
    pg_changed *changed;
    void *arg;
};

/* Begins to connect. `options` and its strings are copied, except `greeting`, which is static. */
struct pg *pg_open(struct event_base *base, const struct pg_options *options);

/* Closes the connection; units that wait are dropped without their callback. */
void pg_close(struct pg *pg);

bool pg_is_up(const struct pg *pg);

/* How many connections it has made: the first, and one for each time that it connected again. */
int64_t pg_connections(const struct pg *pg);

/* Units waiting or under way. */
size_t pg_pending(const struct pg *pg);

/*
 * What libpq says, as one line: the first, or the tries of all addresses that a host has ("; "
 * between them). Cut to fit; returns `line`.
 */
const char *pg_reason(const char *message, char *line, size_t size);

/* A unit without statements. `sql` below is borrowed and must outlive the unit. */
struct pg_unit *pg_unit_new(pg_done *done, void *arg);

/* Begins the next statement; the parameters that follow are its $1, $2, … */
void pg_unit_statement(struct pg_unit *unit, const char *sql);
void pg_unit_int8(struct pg_unit *unit, int64_t value);
void pg_unit_text(struct pg_unit *unit, const char *text);
/* Copies the array in its wire form. */
void pg_unit_array(struct pg_unit *unit, const struct pg_array *array);
/* The same for `count` arrays, which are released. */
void pg_unit_arrays(struct pg_unit *unit, struct pg_array *arrays, size_t count);

/* How many statements it has; the last one's result will be at this less one. */
int pg_unit_statements(const struct pg_unit *unit);

/* Hands the unit over; it is freed after its callback returned PG_FINISHED. */
void pg_submit(struct pg *pg, struct pg_unit *unit);

#endif
