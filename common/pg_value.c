#include "pg_value.h"

#include <endian.h>
#include <string.h>

#include "clock.h"

/* A batch never comes near this; PostgreSQL itself stops at 1 GB. */
#define ARRAY_MAX_BYTES ((size_t)512 << 20)

#define EPOCH_2000 (INT64_C(946684800) * CLOCK_SECOND)

void pg_array_init(struct pg_array *array, enum pg_type type)
{
    *array = (struct pg_array){.type = type};
    buf_init(&array->elements, ARRAY_MAX_BYTES);
}

void pg_array_release(struct pg_array *array)
{
    buf_release(&array->elements);
}

void pg_array_add_null(struct pg_array *array)
{
    buf_add_be32(&array->elements, UINT32_MAX);
    array->count++;
    array->has_null = true;
}

void pg_array_add_bytes(struct pg_array *array, const void *bytes, size_t length)
{
    buf_add_be32(&array->elements, (uint32_t)length);
    buf_add(&array->elements, bytes, length);
    array->count++;
}

void pg_array_add_text(struct pg_array *array, const char *text)
{
    if (text == NULL)
        pg_array_add_null(array);
    else
        pg_array_add_bytes(array, text, strlen(text));
}

void pg_array_add_int4(struct pg_array *array, int32_t value)
{
    buf_add_be32(&array->elements, sizeof value);
    buf_add_be32(&array->elements, (uint32_t)value);
    array->count++;
}

void pg_array_add_int8(struct pg_array *array, int64_t value)
{
    buf_add_be32(&array->elements, sizeof value);
    buf_add_be64(&array->elements, (uint64_t)value);
    array->count++;
}

void pg_array_add_time(struct pg_array *array, int64_t unix_us)
{
    if (unix_us == 0)
        pg_array_add_null(array);
    else
        pg_array_add_int8(array, pg_time_to_wire(unix_us));
}

void pg_array_add_uuid(struct pg_array *array, const unsigned char uuid[16])
{
    pg_array_add_bytes(array, uuid, 16);
}

void pg_array_write(const struct pg_array *array, struct buf *out)
{
    buf_add_be32(out, array->count > 0 ? 1 : 0); /* dimensions */
    buf_add_be32(out, array->has_null);
    buf_add_be32(out, (uint32_t)array->type);
    if (array->count == 0)
        return;
    buf_add_be32(out, array->count);
    buf_add_be32(out, 1); /* lower bound */
    buf_add(out, array->elements.data, array->elements.length);
}

int64_t pg_time_to_wire(int64_t unix_us)
{
    return unix_us == INT64_MAX || unix_us == INT64_MIN ? unix_us : unix_us - EPOCH_2000;
}

int64_t pg_time_from_wire(int64_t wire_us)
{
    return wire_us == INT64_MAX || wire_us == INT64_MIN ? wire_us : wire_us + EPOCH_2000;
}

bool pg_is_null(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) != 0;
}

int64_t pg_int8(const PGresult *result, int row, int column)
{
    uint64_t value = 0;

    if (PQgetlength(result, row, column) == sizeof value)
        memcpy(&value, PQgetvalue(result, row, column), sizeof value);
    return (int64_t)be64toh(value);
}

int32_t pg_int4(const PGresult *result, int row, int column)
{
    uint32_t value = 0;

    if (PQgetlength(result, row, column) == sizeof value)
        memcpy(&value, PQgetvalue(result, row, column), sizeof value);
    return (int32_t)be32toh(value);
}

int64_t pg_time(const PGresult *result, int row, int column)
{
    return pg_time_from_wire(pg_int8(result, row, column));
}

const char *pg_text(const PGresult *result, int row, int column)
{
    return pg_is_null(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

const char *pg_bytes(const PGresult *result, int row, int column, size_t *ret_length)
{
    *ret_length = (size_t)PQgetlength(result, row, column);
    return pg_text(result, row, column);
}
