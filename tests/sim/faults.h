/*
 * Fault rules: which requests are to go wrong, and how. Rules are asked in the order in which they
 * were added; the first that fits a request, has let its `skip` through, has `times` left and wins
 * its draw is the one.
 */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "match.h"

enum fault_kind {
    FAULT_DELAY,
    FAULT_ACCEPT_THEN_DROP,
    FAULT_ACCEPT_THEN_RESET,
    FAULT_DROP,
    FAULT_ACCEPT_CUT,
    FAULT_ACCEPT_GARBAGE,
    FAULT_ACCEPT_NO_SID,
    FAULT_STATUS,
    FAULT_ERROR,
    FAULT_CLOSE_KEPT_ALIVE,
    FAULT_ECHO_AUTHORIZATION,
    FAULT_XML,
    FAULT_HUGE_BODY,
    FAULT_HANG,
    FAULT_KINDS
};

/* What a request must have. */
struct fault_match {
    struct match params;
    char *method; /* owned; "ANY" matches every method, NULL is "POST" */
};

/* A rule. Counted references: a request that waits keeps its rule alive after the rule was removed.
 */
struct fault {
    unsigned refs;
    uint64_t id; /* from 1, set by faults_add */
    enum fault_kind kind;
    struct fault_match match;
    int64_t times; /* how often it still fires; negative: for ever */
    int64_t skip;  /* how many fitting requests it still lets through */
    double probability;
    uint64_t hits;
    /* Parameters; which of them mean something depends on the kind. Strings are owned, NULL is the
     * default. */
    int64_t ms;
    bool accept_first, accept;
    int64_t bytes; /* negative: not given */
    int status, code;
    char *body, *content_type, *message, *retry_after;
};

/* What rules are matched against. */
struct fault_subject {
    struct match_subject params;
    const char *method;
    uint32_t nth; /* of the request on its connection, from 1 */
};

struct faults;

struct faults *faults_new(void);
void faults_free(struct faults *f);
/* Chance is repeatable from here on. */
void faults_seed(struct faults *f, uint64_t seed);

/* A rule with defaults, referenced once. */
struct fault *fault_new(enum fault_kind kind);
void fault_unref(struct fault *rule); /* NULL is fine */

/* Takes over the caller's reference and returns the rule's id. */
uint64_t faults_add(struct faults *f, struct fault *rule);
/* Removes one rule; false if there is no such rule. */
bool faults_remove(struct faults *f, uint64_t id);
void faults_clear(struct faults *f);
size_t faults_count(const struct faults *f);
/* The `index`-th rule in order of adding; borrowed. */
const struct fault *faults_get(const struct faults *f, size_t index);

/* The rule that this request falls to, with a reference for the caller, or NULL. Counts the hit. */
struct fault *faults_choose(struct faults *f, const struct fault_subject *subject);

/* "delay", "drop", …; a literal. */
const char *fault_kind_name(enum fault_kind kind);

#endif
