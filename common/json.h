#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * Strict JSON on top of jansson: bounded depth, no duplicate keys, UTF-8 only, nothing behind the
 * value, types looked at before values.
 */

/* Deeper nesting than this is refused; far more than an event needs, far less than the stack. */
#define JSON_DEPTH_MAX 64

enum json_fault {
    JSON_OK,
    JSON_FAULT_SYNTAX,
    JSON_FAULT_UTF8,
    JSON_FAULT_DUPLICATE_KEY,
    JSON_FAULT_DEPTH,
    JSON_FAULT_NUMBER,
    JSON_FAULT_NUL /* \u0000 in a string: neither PostgreSQL nor C strings can hold it */
};

/*
 * Parses `length` bytes (any JSON value). On success *ret_value is a new reference. Otherwise
 * `detail` (may be NULL) gets one line that names the place, never the input itself.
 */
enum json_fault json_parse(const char *bytes, size_t length, json_t **ret_value, char *detail,
                           size_t detail_size);

/*
 * How many values a JSON text has, and how deep they are nested, without parsing it: each
 * value costs json_parse() some 100 ns and up to 250 bytes, and takes two bytes to write. Of what
 * isn't JSON it tells nothing of use.
 */
size_t json_count(const char *bytes, size_t length, size_t *ret_depth);

/* Appends `text` (UTF-8) as a JSON string with its quotes; control characters are escaped, DEL and
 * C1 too. */
bool json_escape(struct buf *buf, const char *text);
bool json_escape_bytes(struct buf *buf, const char *bytes, size_t length);

/*
 * Write an object member by member, without building it first: '{', the members, '}'. The comma
 * before a member is theirs. A NULL text becomes null.
 */
void json_add_name(struct buf *buf, const char *name);
void json_add_text(struct buf *buf, const char *name, const char *text);
void json_add_integer(struct buf *buf, const char *name, int64_t number);
void json_add_bool(struct buf *buf, const char *name, bool value);

/* Appends any value as compact JSON. */
bool json_append(struct buf *buf, const json_t *value);

/* Member `name` of `object`; NULL if it is absent, null, or `object` is no object. Borrowed. */
json_t *json_member(const json_t *object, const char *name);

/* Member `name` as a string; NULL if it is absent, null or no string. Borrowed. */
const char *json_member_string(const json_t *object, const char *name);

#endif
