/* Arrays in PostgreSQL's binary form, read back by another reader. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "common/pg_value.h"
#include "tests/fuzz/fuzz.h"

struct reader {
    const char *next, *end;
};

static uint32_t take_int4(struct reader *reader)
{
    uint32_t value;

    must((size_t)(reader->end - reader->next) >= sizeof value);
    memcpy(&value, reader->next, sizeof value);
    reader->next += sizeof value;
    return be32toh(value);
}

static int64_t take_int8(struct reader *reader)
{
    int64_t high = take_int4(reader);

    return (int64_t)((uint64_t)high << 32 | take_int4(reader));
}

static void add(struct pg_array *array, const struct fuzz_input *input, int i)
{
    int64_t number = strtoll(input->pieces[i], NULL, 10);

    if (array->type == PG_TEXT)
        pg_array_add_text(array, strcmp(input->pieces[i], "NULL") == 0 ? NULL : input->pieces[i]);
    else if (array->type == PG_BYTEA)
        pg_array_add_bytes(array, input->pieces[i], input->lengths[i]);
    else if (array->type == PG_INT4)
        pg_array_add_int4(array, (int32_t)number);
    else if (array->type == PG_INT8)
        pg_array_add_int8(array, number);
    else
        pg_array_add_time(array, number < 0 || number > INT64_C(253402300800000000) ? 0 : number);
}

static void check_element(struct reader *reader, const struct pg_array *array,
                          const struct fuzz_input *input, int i)
{
    int64_t number = strtoll(input->pieces[i], NULL, 10);
    uint32_t length = take_int4(reader);
    struct reader element = {reader->next, reader->next + length};

    if (length == UINT32_MAX) {
        must(array->has_null);
        must(array->type == PG_TIMESTAMPTZ || strcmp(input->pieces[i], "NULL") == 0);
        return;
    }
    must(length <= (size_t)(reader->end - reader->next));
    if (array->type == PG_TEXT)
        must(length == strlen(input->pieces[i]));
    if (array->type == PG_BYTEA)
        must(length == input->lengths[i]);
    if (array->type == PG_TEXT || array->type == PG_BYTEA)
        must(memcmp(reader->next, input->pieces[i], length) == 0);
    else if (array->type == PG_INT4)
        must(length == 4 && take_int4(&element) == (uint32_t)number);
    else if (array->type == PG_INT8)
        must(length == 8 && take_int8(&element) == number);
    else
        must(length == 8 && pg_time_from_wire(take_int8(&element)) == number);
    reader->next += length;
}

static void check_array(const struct fuzz_input *input, enum pg_type type)
{
    struct pg_array array;
    struct reader reader;
    struct buf wire;

    pg_array_init(&array, type);
    for (int i = 0; i < input->count; i++)
        add(&array, input, i);
    buf_init(&wire, (size_t)1 << 20);
    pg_array_write(&array, &wire);
    reader = (struct reader){wire.data, wire.data + wire.length};
    must(take_int4(&reader) == 1 && take_int4(&reader) == array.has_null);
    must(take_int4(&reader) == (uint32_t)type);
    must(take_int4(&reader) == (uint32_t)input->count && take_int4(&reader) == 1);
    for (int i = 0; i < input->count; i++)
        check_element(&reader, &array, input, i);
    must(reader.next == reader.end);
    buf_release(&wire);
    pg_array_release(&array);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum pg_type types[] = {PG_TEXT, PG_BYTEA, PG_INT4, PG_INT8, PG_TIMESTAMPTZ};
    struct fuzz_input input;

    fuzz_split(data, size, &input);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        check_array(&input, types[i]);
    fuzz_release(&input);
    return 0;
}
