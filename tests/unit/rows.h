#ifndef TESTS_UNIT_ROWS_H
#define TESTS_UNIT_ROWS_H

/* A row of a statement's result, in PostgreSQL's binary formats, without a server. */

#include <arpa/inet.h>
#include <libpq-fe.h>

#include "check.h"
#include "common/buf.h"

#define ROWS_COLUMNS_MAX 40

/* A result with so many columns and, once something was put into it, one row. */
static inline PGresult *rows_new(int count)
{
    static char name[] = "column";
    PGresAttDesc columns[ROWS_COLUMNS_MAX];
    PGresult *rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

    assert_true(count <= ROWS_COLUMNS_MAX);
    for (int i = 0; i < count; i++)
        columns[i] = (PGresAttDesc){.name = name, .format = 1, .typlen = -1, .atttypmod = -1};
    assert_true(PQsetResultAttrs(rows, count, columns));
    return rows;
}

static inline void put_bytes(PGresult *rows, int column, const void *bytes, size_t length)
{
    assert_true(PQsetvalue(rows, 0, column, (char *)bytes, bytes != NULL ? (int)length : -1));
}

static inline void put_text(PGresult *rows, int column, const char *text)
{
    put_bytes(rows, column, text, text != NULL ? strlen(text) : 0);
}

static inline void put_int4(PGresult *rows, int column, int value)
{
    uint32_t wire = htonl((uint32_t)value);

    put_bytes(rows, column, &wire, sizeof wire);
}

static inline void put_int8(PGresult *rows, int column, int64_t value)
{
    struct buf wire;

    buf_init(&wire, 8);
    buf_add_be64(&wire, (uint64_t)value);
    put_bytes(rows, column, wire.data, wire.length);
    buf_release(&wire);
}

#endif
