#ifndef WORKER_COMMANDS_TABLE_H
#define WORKER_COMMANDS_TABLE_H

#include <libpq-fe.h>

#include "worker/commands/command.h"
#include "worker/commands/db.h"

/*
 * Rows of a result for people (a table) or for programs (JSON Lines: one object a row, with all
 * columns of the statement; times are RFC 3339). What stands in a row may come from strangers:
 * control characters never reach the terminal.
 */
struct column {
    const char *name;    /* in the statement */
    const char *heading; /* NULL: the name */
    int width;           /* characters at most, longer values are cut; 0: any */
    bool right;          /* right-aligned */
};

/*
 * Runs a statement that reads. Its rows, and as a last column each row as JSON; NULL after a
 * complaint.
 */
PGresult *table_query(struct db *db, const char *sql, int count, const char *const *parameters);

/* Prints rows of table_query(): a table of these columns (the last has a NULL name), or JSON. */
void table_print(const struct arguments *arguments, const PGresult *rows,
                 const struct column *columns);

#define TABLE_COLUMNS_MAX 24

/* How wide the columns of a list that goes on have become; all zero before its first part. */
struct table_widths {
    size_t widths[TABLE_COLUMNS_MAX];
};

/* The same for the next part of a list that goes on. The headings come with the first part. */
void table_print_part(const struct arguments *arguments, const PGresult *rows,
                      const struct column *columns, struct table_widths *widths);

/* Appends a row of `from` to `to`, which has the same columns (PQcopyResult()). */
void table_copy_row(PGresult *to, const PGresult *from, int row);

/* Prints `text` in one line, at most `width` characters (0: any), without control characters. */
void table_print_text(const char *text, int width);

#endif
