/* A list of names and values, in order and with repetitions: the form of a status callback. */
#ifndef SIM_PARAMS_H
#define SIM_PARAMS_H

#include <stddef.h>

#include "text.h"

struct param {
    char *name, *value; /* owned */
};

/* A zeroed struct is an empty list. */
struct params {
    struct param *items;
    size_t count, cap;
};

/* Copies both; a NULL value adds nothing. */
void params_add(struct params *p, const char *name, const char *value);
void params_add_all(struct params *p, const struct params *more);
/* application/x-www-form-urlencoded */
void params_encode(struct text *out, const struct params *p);
void params_release(struct params *p);

#endif
