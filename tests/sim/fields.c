#include "fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

bool fields_ok(const struct fields *f)
{
    return f->error[0] == '\0';
}

void fields_fail(struct fields *f, const char *format, ...)
{
    va_list args;

    if (!fields_ok(f))
        return;
    va_start(args, format);
    vsnprintf(f->error, sizeof(f->error), format, args);
    va_end(args);
}

static bool is_listed(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

void fields_allow(struct fields *f, const char *const *names)
{
    const char *name;
    json_t *value;

    json_object_foreach(f->object, name, value)
    {
        if (!is_listed(name, names))
            fields_fail(f, "field '%.100s': not known here", name);
    }
}

bool fields_has(const struct fields *f, const char *name)
{
    const json_t *value = json_object_get(f->object, name);

    return value != NULL && !json_is_null(value);
}

int64_t fields_required_int(struct fields *f, const char *name, int64_t min, int64_t max)
{
    if (!fields_has(f, name))
        fields_fail(f, "field '%s': missing, expected an integer", name);
    return fields_int(f, name, min, max, min);
}

int64_t fields_int(struct fields *f, const char *name, int64_t min, int64_t max, int64_t otherwise)
{
    const json_t *value = json_object_get(f->object, name);

    if (!fields_has(f, name))
        return otherwise;
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max) {
        fields_fail(f, "field '%s': expected an integer from %" PRId64 " to %" PRId64, name, min,
                    max);
        return otherwise;
    }
    return json_integer_value(value);
}

double fields_fraction(struct fields *f, const char *name, double otherwise)
{
    const json_t *value = json_object_get(f->object, name);
    double number = json_number_value(value);

    if (!fields_has(f, name))
        return otherwise;
    if (!json_is_number(value) || !(number >= 0 && number <= 1)) {
        fields_fail(f, "field '%s': expected a number from 0 to 1", name);
        return otherwise;
    }
    return number;
}

bool fields_bool(struct fields *f, const char *name, bool otherwise)
{
    const json_t *value = json_object_get(f->object, name);

    if (!fields_has(f, name))
        return otherwise;
    if (!json_is_boolean(value))
        fields_fail(f, "field '%s': expected true or false", name);
    return json_is_true(value);
}

char *fields_string(struct fields *f, const char *name)
{
    const json_t *value = json_object_get(f->object, name);

    if (!fields_has(f, name))
        return NULL;
    if (!json_is_string(value)) {
        fields_fail(f, "field '%s': expected a string", name);
        return NULL;
    }
    return text_copy(json_string_value(value));
}

char **fields_strings(struct fields *f, const char *name, size_t *ret_count)
{
    const json_t *value = json_object_get(f->object, name);
    bool good = json_is_array(value);
    char **strings;

    *ret_count = 0;
    for (size_t i = 0; good && i < json_array_size(value); i++)
        good = json_is_string(json_array_get(value, i));
    if (!good && fields_has(f, name))
        fields_fail(f, "field '%s': expected an array of strings", name);
    if (!good)
        return NULL;
    *ret_count = json_array_size(value);
    strings = text_alloc_zeroed((*ret_count + 1) * sizeof(*strings));
    for (size_t i = 0; i < *ret_count; i++)
        strings[i] = text_copy(json_string_value(json_array_get(value, i)));
    return strings;
}

char *fields_header(struct fields *f, const char *name)
{
    char *value = fields_string(f, name);

    if (value != NULL && strpbrk(value, "\r\n") != NULL)
        fields_fail(f, "field '%s': expected a string without line breaks", name);
    return value;
}

uint64_t fields_query_number(struct fields *f, const struct form *query, const char *name,
                             uint64_t otherwise)
{
    const char *value = form_get(query, name);
    unsigned long long number;
    char *end;

    if (value == NULL)
        return otherwise;
    errno = 0;
    number = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || errno != 0) {
        fields_fail(f, "query parameter '%s': expected a whole number", name);
        return otherwise;
    }
    return number;
}

void fields_query_allow(struct fields *f, const struct form *query, const char *const *names)
{
    for (size_t i = 0; i < query->count; i++) {
        if (!is_listed(query->pairs[i].name, names))
            fields_fail(f, "query parameter '%.100s': not known here", query->pairs[i].name);
    }
}
