#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

/* cmocka wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Assertions for tables of cases: like cmocka's, and a failure first prints which case it was.
 * `name` is any text that finds the line in the table.
 */

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define check_true(name, condition) \
    check_condition(name, (condition) ? true : false, #condition, __FILE__, __LINE__)
#define check_false(name, condition) \
    check_condition(name, (condition) ? false : true, "not " #condition, __FILE__, __LINE__)
#define check_int(name, actual, expected) \
    check_integers(name, actual, expected, #actual, __FILE__, __LINE__)
#define check_string(name, actual, expected) \
    check_strings(name, actual, expected, #actual, __FILE__, __LINE__)
#define check_contains(name, text, part) \
    check_part(name, text, part, true, #text, __FILE__, __LINE__)
#define check_lacks(name, text, part) check_part(name, text, part, false, #text, __FILE__, __LINE__)

static inline void check_condition(const char *name, bool holds, const char *what, const char *file,
                                   int line)
{
    if (holds)
        return;
    print_error("case '%s': expected %s\n", name, what);
    _fail(file, line);
}

static inline void check_integers(const char *name, int64_t actual, int64_t expected,
                                  const char *what, const char *file, int line)
{
    if (actual == expected)
        return;
    print_error("case '%s': %s is %" PRId64 ", expected %" PRId64 "\n", name, what, actual,
                expected);
    _fail(file, line);
}

/* Both may be NULL. */
static inline void check_strings(const char *name, const char *actual, const char *expected,
                                 const char *what, const char *file, int line)
{
    if (actual == expected || (actual != NULL && expected != NULL && strcmp(actual, expected) == 0))
        return;
    print_error("case '%s': %s is \"%s\", expected \"%s\"\n", name, what,
                actual != NULL ? actual : "(null)", expected != NULL ? expected : "(null)");
    _fail(file, line);
}

static inline void check_part(const char *name, const char *text, const char *part, bool wanted,
                              const char *what, const char *file, int line)
{
    if (text != NULL && (strstr(text, part) != NULL) == wanted)
        return;
    print_error("case '%s': %s is \"%s\", expected \"%s\" %s it\n", name, what,
                text != NULL ? text : "(null)", part, wanted ? "in" : "not in");
    _fail(file, line);
}

/* `times` copies of `unit` in a new string. */
static inline char *check_repeat(const char *unit, size_t times)
{
    size_t length = strlen(unit);
    char *text = malloc(length * times + 1);

    assert_non_null(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * length, unit, length);
    text[length * times] = '\0';
    return text;
}

/* A number below `limit` from a fixed sequence, so that a failing run can be had again. */
static inline uint64_t check_random(uint64_t *state, uint64_t limit)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 24) % limit;
}

#endif
