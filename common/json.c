#include "json.h"

#include <stdio.h>
#include <string.h>

#include "utf8.h"

static bool too_deep(const json_t *value, int depth)
{
    json_t *child;
    const char *key;
    size_t i;

    if (!json_is_object(value) && !json_is_array(value))
        return false;
    if (depth == 0)
        return true;
    if (json_is_array(value)) {
        json_array_foreach(value, i, child)
        {
            if (too_deep(child, depth - 1))
                return true;
        }
        return false;
    }
    json_object_foreach((json_t *)value, key, child)
    {
        if (too_deep(child, depth - 1))
            return true;
    }
    return false;
}

static enum json_fault classify(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_invalid_utf8:
        return JSON_FAULT_UTF8;
    case json_error_duplicate_key:
        return JSON_FAULT_DUPLICATE_KEY;
    case json_error_stack_overflow:
        return JSON_FAULT_DEPTH;
    case json_error_numeric_overflow:
        return JSON_FAULT_NUMBER;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return JSON_FAULT_NUL;
    default:
        return JSON_FAULT_SYNTAX;
    }
}

static const char *describe(enum json_fault fault)
{
    switch (fault) {
    case JSON_FAULT_UTF8:
        return "invalid UTF-8";
    case JSON_FAULT_DUPLICATE_KEY:
        return "an object has the same key twice";
    case JSON_FAULT_DEPTH:
        return "nested too deeply";
    case JSON_FAULT_NUMBER:
        return "a number is out of range (integers: 64 bits; larger ones belong in strings)";
    case JSON_FAULT_NUL:
        return "a string has the character \\u0000 in it";
    default:
        return "not JSON";
    }
}

enum json_fault json_parse(const char *bytes, size_t length, json_t **ret_value, char *detail,
                           size_t detail_size)
{
    json_error_t error;
    enum json_fault fault;
    json_t *value;

    /* jansson reports bad UTF-8 only where it stands in a string; anywhere else it is "not JSON".
     */
    if (!utf8_valid(bytes, length)) {
        if (detail != NULL)
            snprintf(detail, detail_size, "%s", describe(JSON_FAULT_UTF8));
        return JSON_FAULT_UTF8;
    }
    value = json_loadb(bytes, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (value != NULL && !too_deep(value, JSON_DEPTH_MAX)) {
        *ret_value = value;
        return JSON_OK;
    }
    fault = value != NULL ? JSON_FAULT_DEPTH : classify(&error);
    if (detail != NULL && fault == JSON_FAULT_DEPTH)
        snprintf(detail, detail_size, "nested more than %d levels deep", JSON_DEPTH_MAX);
    else if (detail != NULL)
        snprintf(detail, detail_size, "%s, at line %d column %d", describe(fault), error.line,
                 error.column);
    json_decref(value);
    return fault;
}

/* The first byte behind the string whose text begins at `i`. */
static size_t behind_string(const char *bytes, size_t length, size_t i)
{
    while (i < length && bytes[i] != '"')
        i += bytes[i] == '\\' ? 2 : 1;
    return i + 1;
}

/* Whether the array or object whose text begins at `i` has nothing in it. */
static bool is_empty(const char *bytes, size_t length, size_t i)
{
    while (i < length && strchr(" \t\r\n", bytes[i]) != NULL && bytes[i] != '\0')
        i++;
    return i < length && (bytes[i] == ']' || bytes[i] == '}');
}

size_t json_count(const char *bytes, size_t length, size_t *ret_depth)
{
    size_t count = 1, depth = 0;

    *ret_depth = 0;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '"') {
            i = behind_string(bytes, length, i + 1) - 1;
        } else if (bytes[i] == '[' || bytes[i] == '{') {
            count += !is_empty(bytes, length, i + 1);
            if (++depth > *ret_depth)
                *ret_depth = depth;
        } else if (bytes[i] == ',') {
            count++;
        } else if ((bytes[i] == ']' || bytes[i] == '}') && depth > 0) {
            depth--;
        }
    }
    return count;
}

/* A C1 control character in UTF-8. */
static bool is_c1(const char *bytes, size_t length)
{
    return length >= 2 && bytes[0] == '\xc2' && (unsigned char)bytes[1] >= 0x80 &&
           (unsigned char)bytes[1] < 0xa0;
}

/* How many bytes stand for themselves. JSON leaves DEL and C1 alone; terminals may obey them. */
static size_t plain_run(const char *bytes, size_t length)
{
    size_t run = 0;

    while (run < length && (unsigned char)bytes[run] >= 0x20 && bytes[run] != '"' &&
           bytes[run] != '\\' && bytes[run] != 0x7f && !is_c1(bytes + run, length - run))
        run++;
    return run;
}

bool json_escape_bytes(struct buf *buf, const char *bytes, size_t length)
{
    bool fits = buf_add_char(buf, '"');

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        size_t plain = plain_run(bytes + i, length - i);

        if (plain > 0) {
            fits = buf_add(buf, bytes + i, plain) && fits;
            i += plain - 1;
        } else if (is_c1(bytes + i, length - i)) {
            fits = buf_printf(buf, "\\u%04x", (unsigned char)bytes[++i]) && fits;
        } else if (c == '"' || c == '\\') {
            fits = buf_printf(buf, "\\%c", c) && fits;
        } else if (c == '\n') {
            fits = buf_add_string(buf, "\\n") && fits;
        } else {
            fits = buf_printf(buf, "\\u%04x", c) && fits;
        }
    }
    return buf_add_char(buf, '"') && fits;
}

bool json_escape(struct buf *buf, const char *text)
{
    return json_escape_bytes(buf, text, strlen(text));
}

void json_add_name(struct buf *buf, const char *name)
{
    if (buf->length > 0 && buf->data[buf->length - 1] != '{')
        buf_add_char(buf, ',');
    buf_add_char(buf, '"');
    buf_add_string(buf, name);
    buf_add_string(buf, "\":");
}

void json_add_text(struct buf *buf, const char *name, const char *text)
{
    json_add_name(buf, name);
    if (text == NULL)
        buf_add_string(buf, "null");
    else
        json_escape(buf, text);
}

void json_add_integer(struct buf *buf, const char *name, int64_t number)
{
    json_add_name(buf, name);
    buf_printf(buf, "%lld", (long long)number);
}

void json_add_bool(struct buf *buf, const char *name, bool value)
{
    json_add_name(buf, name);
    buf_add_string(buf, value ? "true" : "false");
}

static int append_chunk(const char *bytes, size_t length, void *buf)
{
    return buf_add(buf, bytes, length) ? 0 : -1;
}

bool json_append(struct buf *buf, const json_t *value)
{
    return json_dump_callback(value, append_chunk, buf, JSON_COMPACT | JSON_ENCODE_ANY) == 0;
}

json_t *json_member(const json_t *object, const char *name)
{
    json_t *member = json_object_get(object, name);

    return json_is_null(member) ? NULL : member;
}

const char *json_member_string(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}
