#ifndef COMMON_FORM_H
#define COMMON_FORM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * application/x-www-form-urlencoded (WHATWG URL, section 5) as strangers send it: bounded, in the
 * order in which it came, and strict, for what is ambiguous here must not be read in two ways.
 */

/* Decoded bytes of any kind but NUL; not necessarily UTF-8. */
struct form_pair {
    const char *name;
    const char *value; /* "" if there was none */
};

struct form {
    struct form_pair *pairs;
    size_t count;
    char *bytes; /* what the pairs point into */
};

/*
 * Decodes `length` bytes: '+' is a blank, "%41" an A, empty pieces between '&' are skipped. False
 * if there are more than `max` pairs, a '%' without two hexadecimal digits, or a NUL. Release in
 * either case.
 */
bool form_parse(const char *bytes, size_t length, size_t max, struct form *ret_form);

void form_release(struct form *form);

/* The value of `name`; NULL if it isn't there, or more than once. Borrowed. */
const char *form_only(const struct form *form, const char *name);

#endif
