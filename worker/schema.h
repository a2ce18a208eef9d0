#ifndef WORKER_SCHEMA_H
#define WORKER_SCHEMA_H

#include <libpq-fe.h>
#include <stddef.h>

/* The database's schema: what version this program needs, and how to get there. */

/* The greeting for struct pg_options. */
extern const char *const schema_greeting;

/*
 * Judges the answer to the greeting (a pg_greeted; `arg` is unused): the schema must be of this
 * program's version, and the server must take writes.
 */
const char *schema_judge(void *arg, const PGresult *result, const char *sqlstate);

/* The same for who only reads: the schema must be of this program's version. */
const char *schema_judge_version(const PGresult *result, const char *sqlstate);

/* The version that this program needs. */
int schema_newest(void);

/*
 * Applies the migrations that the database doesn't have yet: in order, each once, each in one
 * transaction; safe when several do it together. Blocks. Says what it does on stdout. Returns 0, or
 * 1 with one line on stderr: among others when the database is newer than this program.
 */
int schema_migrate(const char *conninfo);

#endif
