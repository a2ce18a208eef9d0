/*
 * What becomes of messages: rules that say through which statuses a message goes and what its
 * callbacks are like, and the messages that are on such a way. A message without a rule stays as it
 * is until it is moved by hand.
 */
#ifndef SIM_LIVES_H
#define SIM_LIVES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callbacks.h"
#include "match.h"
#include "store.h"

struct lives;

struct step {
    char *status;
    int64_t after_ms; /* after the step before, or the creation */
    int error_code;   /* 0: none */
    char *error_message;
    enum { CALLBACK_ON_CHANGE, CALLBACK_ALWAYS, CALLBACK_NEVER } callback;
    int repeat; /* how often the callback is sent in all */
    struct callback_options options;
};

/* Counted references: a message on its way keeps its rule alive. */
struct life_rule {
    unsigned refs;
    uint64_t id; /* from 1, set by lives_add */
    struct match match;
    int64_t times; /* how many messages it still takes; negative: all */
    double probability;
    uint64_t hits;
    bool reversed; /* all callbacks once the last step is reached, the last one first */
    struct step *steps;
    size_t count;
    json_t *spec; /* as it was given */
};

/* Borrows all of them. */
struct lives *lives_new(struct event_base *base, struct store *store, struct callbacks *callbacks);
void lives_free(struct lives *l);
/* Forgets rules and ways. Before callbacks and messages are forgotten. */
void lives_reset(struct lives *l);
/* Chance is repeatable from here on. */
void lives_seed(struct lives *l, uint64_t seed);

/* A zeroed rule, referenced once. */
struct life_rule *life_rule_new(void);
void life_rule_unref(struct life_rule *rule); /* NULL is fine */
void step_release(struct step *step);

/* Takes over the caller's reference and returns the rule's id. Rules are asked in this order. */
uint64_t lives_add(struct lives *l, struct life_rule *rule);
/* Removes one rule; false if there is no such rule. Ways that were begun go on. */
bool lives_remove(struct lives *l, uint64_t id);
/* Removes all rules and returns how many. */
size_t lives_clear(struct lives *l);
size_t lives_count(const struct lives *l);
const struct life_rule *lives_get(const struct lives *l, size_t index);

/* Sets a new message on the way of the first rule that fits. Nothing happens before the event loop
 * comes round, so that an answer that is given at once goes first. */
void lives_start(struct lives *l, struct message *m);
/* One step by hand, at once. */
void lives_move(struct lives *l, struct message *m, const struct step *step);
/* How many messages have steps before them. */
size_t lives_open(const struct lives *l);

#endif
