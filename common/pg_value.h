#ifndef COMMON_PG_VALUE_H
#define COMMON_PG_VALUE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

/*
 * PostgreSQL's binary formats: no quoting, no escaping, exact lengths. Moments are microseconds
 * since 1970 here and since 2000 on the wire; 'infinity' is INT64_MAX, '-infinity' INT64_MIN.
 */

/* Element types, by their fixed OIDs (pg_type.dat). */
enum pg_type {
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_JSON = 114,
    PG_TIMESTAMPTZ = 1184,
    PG_UUID = 2950
};

/* A one-dimensional array under construction. */
struct pg_array {
    struct buf elements;
    enum pg_type type;
    uint32_t count;
    bool has_null;
};

void pg_array_init(struct pg_array *array, enum pg_type type);
void pg_array_release(struct pg_array *array);

void pg_array_add_null(struct pg_array *array);
/* For text, json and bytea. */
void pg_array_add_bytes(struct pg_array *array, const void *bytes, size_t length);
/* For text and json; NULL adds a null. */
void pg_array_add_text(struct pg_array *array, const char *text);
void pg_array_add_int4(struct pg_array *array, int32_t value);
void pg_array_add_int8(struct pg_array *array, int64_t value);
/* For timestamptz; 0 adds a null. */
void pg_array_add_time(struct pg_array *array, int64_t unix_us);
/* For uuid: 16 bytes. */
void pg_array_add_uuid(struct pg_array *array, const unsigned char uuid[16]);

/* Appends the array in its wire form. */
void pg_array_write(const struct pg_array *array, struct buf *out);

/* Microseconds since 1970 to the wire's since 2000, and back; infinities stay. */
int64_t pg_time_to_wire(int64_t unix_us);
int64_t pg_time_from_wire(int64_t wire_us);

/* Fields of a binary result. Text and bytes are borrowed from the result; NULL for null. */
bool pg_is_null(const PGresult *result, int row, int column);
int64_t pg_int8(const PGresult *result, int row, int column);
int32_t pg_int4(const PGresult *result, int row, int column);
int64_t pg_time(const PGresult *result, int row, int column);
const char *pg_text(const PGresult *result, int row, int column);
const char *pg_bytes(const PGresult *result, int row, int column, size_t *ret_length);

#endif
