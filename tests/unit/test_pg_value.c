#include "check.h"

#include "common/pg.h"
#include "common/pg_value.h"

/* The wire form of an array: dimensions, has nulls, element type, count, lower bound, elements. */
#define BE32(n) 0, 0, (n) >> 8 & 255, (n)&255
#define NULL32  0xff, 0xff, 0xff, 0xff

static void check_wire(const char *name, struct pg_array *array, const unsigned char *expected,
                       size_t length)
{
    struct buf out;

    buf_init(&out, 1000);
    buf_add_string(&out, "#");
    pg_array_write(array, &out);
    check_int(name, (int64_t)out.length, (int64_t)length + 1);
    for (size_t i = 0; i < length; i++) {
        char place[64];

        snprintf(place, sizeof place, "%s, byte %zu", name, i);
        check_int(place, (unsigned char)out.data[i + 1], expected[i]);
    }
    buf_release(&out);
    pg_array_release(array);
}

#define CHECK_WIRE(name, array, ...)                           \
    do {                                                       \
        static const unsigned char expected[] = {__VA_ARGS__}; \
                                                               \
        check_wire(name, array, expected, sizeof expected);    \
    } while (0)

static void empty_arrays(void **state)
{
    struct pg_array array;

    (void)state;
    pg_array_init(&array, PG_TEXT);
    CHECK_WIRE("text", &array, BE32(0), BE32(0), BE32(25));
    pg_array_init(&array, PG_TIMESTAMPTZ);
    CHECK_WIRE("timestamptz", &array, BE32(0), BE32(0), BE32(1184));
}

static void text_arrays(void **state)
{
    struct pg_array array;

    (void)state;
    pg_array_init(&array, PG_TEXT);
    pg_array_add_text(&array, "ab\xe2\x82\xac");
    pg_array_add_text(&array, "");
    pg_array_add_text(&array, NULL);
    pg_array_add_null(&array);
    CHECK_WIRE("text", &array, BE32(1), BE32(1), BE32(25), BE32(4), BE32(1), BE32(5), 'a', 'b',
               0xe2, 0x82, 0xac, BE32(0), NULL32, NULL32);
    pg_array_init(&array, PG_JSON);
    pg_array_add_text(&array, "{}");
    CHECK_WIRE("json", &array, BE32(1), BE32(0), BE32(114), BE32(1), BE32(1), BE32(2), '{', '}');
    pg_array_init(&array, PG_BYTEA);
    pg_array_add_bytes(&array, "a\0\xff", 3);
    pg_array_add_bytes(&array, NULL, 0);
    CHECK_WIRE("bytea", &array, BE32(1), BE32(0), BE32(17), BE32(2), BE32(1), BE32(3), 'a', 0, 0xff,
               BE32(0));
}

static void number_arrays(void **state)
{
    struct pg_array array;

    (void)state;
    pg_array_init(&array, PG_INT4);
    pg_array_add_int4(&array, 258);
    pg_array_add_int4(&array, -2);
    pg_array_add_int4(&array, INT32_MIN);
    CHECK_WIRE("int4", &array, BE32(1), BE32(0), BE32(23), BE32(3), BE32(1), BE32(4), 0, 0, 1, 2,
               BE32(4), 0xff, 0xff, 0xff, 0xfe, BE32(4), 0x80, 0, 0, 0);
    pg_array_init(&array, PG_INT8);
    pg_array_add_int8(&array, INT64_C(0x0102030405060708));
    pg_array_add_int8(&array, -1);
    pg_array_add_int8(&array, 0);
    CHECK_WIRE("int8", &array, BE32(1), BE32(0), BE32(20), BE32(3), BE32(1), BE32(8), 1, 2, 3, 4, 5,
               6, 7, 8, BE32(8), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, BE32(8), 0, 0, 0,
               0, 0, 0, 0, 0);
}

static void time_arrays(void **state)
{
    struct pg_array array;

    (void)state;
    pg_array_init(&array, PG_TIMESTAMPTZ);
    pg_array_add_time(&array, INT64_C(946684800000001)); /* 2000-01-01 and a microsecond */
    pg_array_add_time(&array, INT64_C(946684799999999)); /* and one before it */
    pg_array_add_time(&array, 0);
    pg_array_add_time(&array, INT64_MAX);
    CHECK_WIRE("timestamptz", &array, BE32(1), BE32(1), BE32(1184), BE32(4), BE32(1), BE32(8), 0, 0,
               0, 0, 0, 0, 0, 1, BE32(8), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, NULL32,
               BE32(8), 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
}

static void uuid_arrays(void **state)
{
    static const unsigned char uuid[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255};
    struct pg_array array;

    (void)state;
    pg_array_init(&array, PG_UUID);
    pg_array_add_uuid(&array, uuid);
    CHECK_WIRE("uuid", &array, BE32(1), BE32(0), BE32(2950), BE32(1), BE32(1), BE32(16), 0, 1, 2, 3,
               4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255);
}

static void moments(void **state)
{
    static const struct {
        const char *name;
        int64_t unix_us, wire_us;
    } cases[] = {
        {"2000", INT64_C(946684800000000), 0},
        {"1970", 0, INT64_C(-946684800000000)},
        {"2026-11-22", INT64_C(1795333709123456), INT64_C(848648909123456)},
        {"infinity", INT64_MAX, INT64_MAX},
        {"-infinity", INT64_MIN, INT64_MIN},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_int(cases[i].name, pg_time_to_wire(cases[i].unix_us), cases[i].wire_us);
        check_int(cases[i].name, pg_time_from_wire(cases[i].wire_us), cases[i].unix_us);
    }
}

/* A row as a server would have sent it, in binary. */
static PGresult *make_row(void)
{
    static const struct {
        const char *bytes;
        int length;
    } fields[] = {
        {"\x01\x02\x03\x04\x05\x06\x07\x08", 8},
        {"\xff\xff\xff\xfe", 4},
        {"\0\0\0\0\0\0\0\x05", 8},
        {"text", 4},
        {"a\0b", 3},
        {NULL, -1},
        {"", 0},
    };
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[COUNT(fields)];
    char name[] = "column";

    assert_non_null(result);
    for (size_t i = 0; i < COUNT(fields); i++)
        columns[i] = (PGresAttDesc){.name = name, .format = 1};
    assert_true(PQsetResultAttrs(result, COUNT(fields), columns));
    for (size_t i = 0; i < COUNT(fields); i++)
        assert_true(PQsetvalue(result, 0, (int)i, (char *)fields[i].bytes, fields[i].length));
    return result;
}

static void reads_fields(void **state)
{
    PGresult *row = make_row();
    size_t length = 99;

    (void)state;
    assert_true(pg_int8(row, 0, 0) == INT64_C(0x0102030405060708));
    assert_int_equal(pg_int4(row, 0, 1), -2);
    assert_true(pg_time(row, 0, 2) == INT64_C(946684800000005));
    assert_string_equal(pg_text(row, 0, 3), "text");
    assert_memory_equal(pg_bytes(row, 0, 4, &length), "a\0b", 3);
    assert_int_equal(length, 3);
    assert_true(pg_is_null(row, 0, 5));
    assert_null(pg_text(row, 0, 5));
    assert_null(pg_bytes(row, 0, 5, &length));
    assert_int_equal(length, 0);
    assert_false(pg_is_null(row, 0, 6));
    assert_string_equal(pg_text(row, 0, 6), "");
    PQclear(row);
}

/* ---- reasons ---- */

static void reasons_are_one_line(void **state)
{
    static const struct {
        const char *message, *line;
    } cases[] = {
        {"", ""},
        {"no line feed", "no line feed"},
        {"ERROR:  no such thing\nDETAIL:  Key (id)=(secret)\n", "ERROR:  no such thing"},
        {"connection to server at \"h\" (::1) failed: refused\n\tIs it running?\n"
         "connection to server at \"h\" (127.0.0.1) failed: expired\n",
         "connection to server at \"h\" (::1) failed: refused; "
         "connection to server at \"h\" (127.0.0.1) failed: expired"},
    };
    char line[200], small[8];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(pg_reason(cases[i].message, line, sizeof line), cases[i].line);
    assert_string_equal(pg_reason(cases[3].message, small, sizeof small), "connect");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_arrays),  cmocka_unit_test(text_arrays),
        cmocka_unit_test(number_arrays), cmocka_unit_test(time_arrays),
        cmocka_unit_test(uuid_arrays),   cmocka_unit_test(moments),
        cmocka_unit_test(reads_fields),  cmocka_unit_test(reasons_are_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
