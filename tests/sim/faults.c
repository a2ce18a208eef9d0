#include "faults.h"

#include <stdlib.h>
#include <string.h>

#include "rng.h"
#include "text.h"

struct faults {
    struct fault **rules;
    size_t count, cap;
    uint64_t last_id;
    struct rng rng;
};

struct faults *faults_new(void)
{
    struct faults *f = text_alloc_zeroed(sizeof(*f));

    rng_init_random(&f->rng);
    return f;
}

void faults_free(struct faults *f)
{
    faults_clear(f);
    free(f->rules);
    free(f);
}

void faults_seed(struct faults *f, uint64_t seed)
{
    f->rng.state = seed;
}

struct fault *fault_new(enum fault_kind kind)
{
    struct fault *rule = text_alloc_zeroed(sizeof(*rule));

    rule->refs = 1;
    rule->kind = kind;
    rule->times = -1;
    rule->probability = 1;
    rule->bytes = -1;
    return rule;
}

void fault_unref(struct fault *rule)
{
    if (rule == NULL || --rule->refs > 0)
        return;
    match_release(&rule->match.params);
    free(rule->match.method);
    free(rule->body);
    free(rule->content_type);
    free(rule->message);
    free(rule->retry_after);
    free(rule);
}

uint64_t faults_add(struct faults *f, struct fault *rule)
{
    if (f->count == f->cap) {
        f->cap = f->cap == 0 ? 8 : f->cap * 2;
        f->rules = text_realloc(f->rules, f->cap * sizeof(struct fault *));
    }
    f->rules[f->count++] = rule;
    rule->id = ++f->last_id;
    return rule->id;
}

bool faults_remove(struct faults *f, uint64_t id)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->rules[i]->id != id)
            continue;
        fault_unref(f->rules[i]);
        f->count--;
        memmove(&f->rules[i], &f->rules[i + 1], (f->count - i) * sizeof(struct fault *));
        return true;
    }
    return false;
}

void faults_clear(struct faults *f)
{
    while (f->count > 0)
        fault_unref(f->rules[--f->count]);
}

size_t faults_count(const struct faults *f)
{
    return f->count;
}

const struct fault *faults_get(const struct faults *f, size_t index)
{
    return f->rules[index];
}

static bool fits(const struct fault *rule, const struct fault_subject *subject)
{
    const struct fault_match *m = &rule->match;

    if (m->method == NULL
            ? strcmp(subject->method, "POST") != 0
            : strcmp(m->method, "ANY") != 0 && strcmp(m->method, subject->method) != 0)
        return false;
    if (!match_fits(&m->params, &subject->params))
        return false;
    /* The first request of a connection is safe from this one: clients repeat only on a reused
     * connection. */
    return rule->kind != FAULT_CLOSE_KEPT_ALIVE || subject->nth > 1;
}

/* Whether a rule that fits fires this time. */
static bool fires(struct faults *f, struct fault *rule)
{
    if (rule->times == 0)
        return false;
    if (rule->skip > 0) {
        rule->skip--;
        return false;
    }
    if (rule->probability < 1 && rng_fraction(&f->rng) >= rule->probability)
        return false;
    if (rule->times > 0)
        rule->times--;
    rule->hits++;
    return true;
}

struct fault *faults_choose(struct faults *f, const struct fault_subject *subject)
{
    for (size_t i = 0; i < f->count; i++) {
        struct fault *rule = f->rules[i];

        if (fits(rule, subject) && fires(f, rule)) {
            rule->refs++;
            return rule;
        }
    }
    return NULL;
}

const char *fault_kind_name(enum fault_kind kind)
{
    static const char *const names[FAULT_KINDS] = {
        [FAULT_DELAY] = "delay",
        [FAULT_ACCEPT_THEN_DROP] = "accept_then_drop",
        [FAULT_ACCEPT_THEN_RESET] = "accept_then_reset",
        [FAULT_DROP] = "drop",
        [FAULT_ACCEPT_CUT] = "accept_cut",
        [FAULT_ACCEPT_GARBAGE] = "accept_garbage",
        [FAULT_ACCEPT_NO_SID] = "accept_no_sid",
        [FAULT_STATUS] = "status",
        [FAULT_ERROR] = "error",
        [FAULT_CLOSE_KEPT_ALIVE] = "close_kept_alive",
        [FAULT_ECHO_AUTHORIZATION] = "echo_authorization",
        [FAULT_XML] = "xml",
        [FAULT_HUGE_BODY] = "huge_body",
        [FAULT_HANG] = "hang",
    };

    return names[kind];
}
