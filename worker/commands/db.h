#ifndef WORKER_COMMANDS_DB_H
#define WORKER_COMMANDS_DB_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "worker/commands/command.h"

/*
 * PostgreSQL for the subcommands: one statement after the other, each call waits. Whatever goes
 * wrong is one line on stderr, said here (for want of a right it names the command's role); who
 * gets NULL or false ends with COMMAND_FAILED. No state of the session is relied upon, so a
 * transaction-pooling PgBouncer may stand in between.
 */
struct db;

/*
 * What a command does to the database: one that only reads is content with a standby, one that
 * looks for what is wrong with any server and any schema.
 */
enum db_use { DB_READ, DB_WRITE, DB_ANY };

/* Connects, and makes sure that the schema is of this program's version. */
struct db *db_open(const struct arguments *arguments, enum db_use use);

/*
 * The same for who goes on without a database: what is wrong, now or later, is one line in
 * `trouble` ("" if nothing is) and not on stderr. Connecting and each statement take at most
 * `seconds`.
 */
struct db *db_try(const struct command *command, const struct settings *settings, enum db_use use,
                  int seconds, char *trouble, size_t trouble_size);

void db_close(struct db *db);

/* A statement's parameters, as text; NULL is a null. */
#define DB_PARAMETERS(...)                                                    \
    (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)), \
        (const char *const[])                                                 \
    {                                                                         \
        __VA_ARGS__                                                           \
    }

/*
 * Runs one statement, in a transaction of its own unless db_begin() has opened one. Its rows as
 * text (times are UTC, ISO 8601), to be cleared with PQclear().
 */
PGresult *db_query(struct db *db, const char *sql, int count, const char *const *parameters);

/* A statement that a command may come to run, and how many parameters it has. */
struct db_need {
    const char *sql;
    int parameters;
};

/*
 * Whether who logs in has the rights for all of these (a NULL ends them). False after the complaint
 * that the first of them to be refused would have brought. Nothing is run.
 */
bool db_may(struct db *db, const struct db_need *needs);

/* A value by its column's name; NULL if it is null, or there is no such column. */
const char *db_text(const PGresult *rows, int row, const char *column);

/* Several statements in one transaction; after a failure it is rolled back already. */
bool db_begin(struct db *db);
bool db_commit(struct db *db);

/*
 * The value of --since as a moment of the database's clock, to be a parameter: a duration before
 * now, or RFC 3339. Owned by the caller; NULL if it wasn't given. Anything but COMMAND_DONE is the
 * exit status, after a complaint.
 */
int db_since(struct db *db, char **ret_moment);

/* Texts as one parameter of type text[]; owned by the caller. */
char *db_text_array(const char *const *texts, int count);

/* SQLSTATE of the last failure, "" if there was none, or none was given. */
const char *db_sqlstate(const struct db *db);

#endif
