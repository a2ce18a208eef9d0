/*
 * Reading JSON objects and query strings strictly: each getter checks one field, and the first
 * thing that is wrong is kept as one line that names the field and what was expected. Getters go on
 * after an error and give defaults.
 */
#ifndef SIM_FIELDS_H
#define SIM_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "form.h"

struct fields {
    json_t *object;  /* borrowed, only read; must be an object */
    char error[256]; /* "" while nothing is wrong */
};

bool fields_ok(const struct fields *f);
/* Records an error unless there is one already. */
void fields_fail(struct fields *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Any field that is not in `names` (ends with NULL) is an error. */
void fields_allow(struct fields *f, const char *const *names);
bool fields_has(const struct fields *f, const char *name);
/* A missing required field is an error, a missing other one gives `otherwise`. Bounds are
 * inclusive. */
int64_t fields_required_int(struct fields *f, const char *name, int64_t min, int64_t max);
int64_t fields_int(struct fields *f, const char *name, int64_t min, int64_t max, int64_t otherwise);
double fields_fraction(struct fields *f, const char *name, double otherwise);
bool fields_bool(struct fields *f, const char *name, bool otherwise);
/* A copy that the caller frees, or NULL if it is missing (or wrong). */
char *fields_string(struct fields *f, const char *name);
/* An array of strings, NULL if it is missing (or wrong). The caller frees it and what is in it. */
char **fields_strings(struct fields *f, const char *name, size_t *ret_count);
/* As fields_string, for text that goes into a header: line breaks are an error. */
char *fields_header(struct fields *f, const char *name);

/* The same for queries: whole numbers from 0, and a check of the names (ends with NULL). */
uint64_t fields_query_number(struct fields *f, const struct form *query, const char *name,
                             uint64_t otherwise);
void fields_query_allow(struct fields *f, const struct form *query, const char *const *names);

#endif
