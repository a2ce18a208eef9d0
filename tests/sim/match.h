/* What rules of all kinds look for in a request: each thing that is given must be there. */
#ifndef SIM_MATCH_H
#define SIM_MATCH_H

#include <stdbool.h>

#include "fields.h"

/* NULL matches everything; strings are owned. */
struct match {
    char *account, *to, *from;
    char *body_contains;
};

/* Any of these may be NULL. `from` and `service` are two names of a sender. */
struct match_subject {
    const char *account, *to, *from, *service, *body;
};

/* Reads the four from an object; the caller has an eye on what else is in it. */
void match_parse(struct match *ret_match, struct fields *object);
void match_release(struct match *m);
bool match_fits(const struct match *m, const struct match_subject *subject);

#endif
