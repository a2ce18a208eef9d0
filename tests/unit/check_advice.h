#ifndef TESTS_UNIT_CHECK_ADVICE_H
#define TESTS_UNIT_CHECK_ADVICE_H

#include <ctype.h>

#include "check.h"

#include "worker/verdicts.h"

/* An advice is one ASCII sentence that fits and tells what to do, and never empty. */
static inline void check_advice(const char *name, const char *advice)
{
    size_t length;

    check_true(name, advice != NULL);
    length = strlen(advice);
    check_true(advice, length >= 20 && length <= VERDICTS_ADVICE_MAX);
    check_true(advice, isupper((unsigned char)advice[0]));
    check_true(advice, advice[length - 1] == '.');
    for (size_t i = 0; i < length; i++)
        check_true(advice, advice[i] >= ' ' && advice[i] <= '~');
    for (size_t i = 0; i + 1 < length; i++)
        check_false(advice, strchr(".!?", advice[i]) != NULL && advice[i + 1] == ' ');
    check_lacks(name, advice, "  ");
    check_lacks(name, advice, "%");
}

#endif
