/*
 * application/x-www-form-urlencoded: bodies and query strings, decoded into pairs in wire order.
 */
#ifndef SIM_FORM_H
#define SIM_FORM_H

#include <stdbool.h>
#include <stddef.h>

struct form_pair {
    const char *name; /* decoded, NUL-terminated; a decoded %00 ends the string early */
    const char *value;
};

struct form {
    struct form_pair *pairs;
    size_t count;
    char *storage; /* what the pairs point into */
};

/* Decodes `len` bytes. "+" is a blank, as in the real thing. A "%" without two hex digits stands
 * for itself. At most FORM_MAX_PAIRS are taken, the rest is ignored. Release with form_release. */
enum { FORM_MAX_PAIRS = 4096 };
void form_parse(struct form *ret_form, const char *bytes, size_t len);
void form_release(struct form *f);

/* The first value of `name`, or NULL. Borrowed from the form. */
const char *form_get(const struct form *f, const char *name);
/* As form_get, but NULL for an empty value too. */
const char *form_get_nonempty(const struct form *f, const char *name);
/* The `index`-th value of `name`, counted from 0, or NULL: repeated keys are lists. */
const char *form_get_nth(const struct form *f, const char *name, size_t index);

#endif
