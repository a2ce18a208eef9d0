#include "match.h"

#include <stdlib.h>
#include <string.h>

void match_parse(struct match *ret_match, struct fields *object)
{
    ret_match->account = fields_string(object, "account");
    ret_match->to = fields_string(object, "to");
    ret_match->from = fields_string(object, "from");
    ret_match->body_contains = fields_string(object, "body_contains");
}

void match_release(struct match *m)
{
    free(m->account);
    free(m->to);
    free(m->from);
    free(m->body_contains);
    *m = (struct match){0};
}

static bool equal_or_any(const char *wanted, const char *actual)
{
    return wanted == NULL || (actual != NULL && strcmp(wanted, actual) == 0);
}

bool match_fits(const struct match *m, const struct match_subject *subject)
{
    return equal_or_any(m->account, subject->account) && equal_or_any(m->to, subject->to) &&
           (equal_or_any(m->from, subject->from) || equal_or_any(m->from, subject->service)) &&
           (m->body_contains == NULL ||
            (subject->body != NULL && strstr(subject->body, m->body_contains) != NULL));
}
