#include "lives.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "rng.h"

/* A message on its way. */
struct life {
    TAILQ_ENTRY(life) link;
    struct lives *owner;
    struct message *message;
    struct life_rule *rule;
    size_t next; /* the step that the timer waits for */
    struct event *timer;
    struct callback **held; /* of a reversed rule, in the order of their steps */
    size_t held_count;
};

struct lives {
    struct event_base *base;
    struct store *store;
    struct callbacks *callbacks;
    struct life_rule **rules;
    size_t count, cap;
    uint64_t last_id;
    struct rng rng;
    TAILQ_HEAD(life_list, life) open;
    size_t open_count;
};

struct lives *lives_new(struct event_base *base, struct store *store, struct callbacks *callbacks)
{
    struct lives *l = text_alloc_zeroed(sizeof(*l));

    l->base = base;
    l->store = store;
    l->callbacks = callbacks;
    rng_init_random(&l->rng);
    TAILQ_INIT(&l->open);
    return l;
}

void step_release(struct step *step)
{
    free(step->status);
    free(step->error_message);
    params_release(&step->options.extra);
    *step = (struct step){0};
}

struct life_rule *life_rule_new(void)
{
    struct life_rule *rule = text_alloc_zeroed(sizeof(*rule));

    rule->refs = 1;
    return rule;
}

void life_rule_unref(struct life_rule *rule)
{
    if (rule == NULL || --rule->refs > 0)
        return;
    for (size_t i = 0; i < rule->count; i++)
        step_release(&rule->steps[i]);
    free(rule->steps);
    match_release(&rule->match);
    json_decref(rule->spec);
    free(rule);
}

static void life_free(struct life *life)
{
    TAILQ_REMOVE(&life->owner->open, life, link);
    life->owner->open_count--;
    event_free(life->timer);
    life_rule_unref(life->rule);
    free(life->held);
    free(life);
}

void lives_reset(struct lives *l)
{
    while (!TAILQ_EMPTY(&l->open))
        life_free(TAILQ_FIRST(&l->open)); /* NOLINT(clang-analyzer-unix.Malloc) */
    lives_clear(l);
}

void lives_free(struct lives *l)
{
    lives_reset(l);
    free(l->rules);
    free(l);
}

void lives_seed(struct lives *l, uint64_t seed)
{
    l->rng.state = seed;
}

uint64_t lives_add(struct lives *l, struct life_rule *rule)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 8 : l->cap * 2;
        l->rules = text_realloc(l->rules, l->cap * sizeof(struct life_rule *));
    }
    l->rules[l->count++] = rule;
    rule->id = ++l->last_id;
    return rule->id;
}

bool lives_remove(struct lives *l, uint64_t id)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->rules[i]->id != id)
            continue;
        life_rule_unref(l->rules[i]);
        l->count--;
        memmove(&l->rules[i], &l->rules[i + 1], (l->count - i) * sizeof(struct life_rule *));
        return true;
    }
    return false;
}

size_t lives_clear(struct lives *l)
{
    size_t count = l->count;

    while (l->count > 0)
        life_rule_unref(l->rules[--l->count]);
    return count;
}

size_t lives_count(const struct lives *l)
{
    return l->count;
}

const struct life_rule *lives_get(const struct lives *l, size_t index)
{
    return l->rules[index];
}

size_t lives_open(const struct lives *l)
{
    return l->open_count;
}

/* What Twilio says with the codes that tests like best. */
static const char *default_message(int code)
{
    static const struct {
        int code;
        const char *message;
    } known[] = {
        {11751, "Media Message - Media exceeds messaging provider size limit"},
        {21610, "Attempt to send to unsubscribed recipient"},
        {30001, "Queue overflow"},
        {30002, "Account suspended"},
        {30003, "Unreachable destination handset"},
        {30004, "Message blocked"},
        {30005, "Unknown destination handset"},
        {30006, "Landline or unreachable carrier"},
        {30007, "Message filtered"},
        {30008, "Unknown error"},
        {30034, "Message from an Unregistered Number"},
        {30410, "Provider Timeout Error"},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].code == code)
            return known[i].message;
    }
    return NULL;
}

/* Takes the step; whether it calls for a callback. Changes alone do, unless the step says so. */
static bool take_step(struct lives *l, struct message *m, const struct step *step)
{
    bool changed = strcmp(m->status, step->status) != 0;
    const char *text =
        step->error_message == NULL ? default_message(step->error_code) : step->error_message;

    store_move(l->store, m, step->status, step->error_code, text);
    return m->callback != NULL &&
           (step->callback == CALLBACK_ALWAYS || (step->callback == CALLBACK_ON_CHANGE && changed));
}

void lives_move(struct lives *l, struct message *m, const struct step *step)
{
    if (!take_step(l, m, step))
        return;
    for (int i = 0; i < step->repeat; i++)
        callback_send(callbacks_prepare(l->callbacks, m, &step->options));
}

static void hold_callbacks(struct life *life, const struct step *step)
{
    size_t count = life->held_count + (size_t)step->repeat;

    life->held = text_realloc(life->held, count * sizeof(struct callback *));
    while (life->held_count < count)
        life->held[life->held_count++] =
            callbacks_prepare(life->owner->callbacks, life->message, &step->options);
}

static void wait_for_next(struct life *life)
{
    int64_t ms = life->rule->steps[life->next].after_ms;
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    evtimer_add(life->timer, &wait);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct life *life = arg;
    const struct step *step = &life->rule->steps[life->next++];

    (void)fd;
    (void)what;
    if (!life->rule->reversed)
        lives_move(life->owner, life->message, step);
    else if (take_step(life->owner, life->message, step))
        hold_callbacks(life, step);
    if (life->next < life->rule->count) {
        wait_for_next(life);
        return;
    }
    while (life->held_count > 0)
        callback_send(life->held[--life->held_count]);
    life_free(life);
}

/* Whether a rule that fits takes this message. */
static bool takes(struct lives *l, struct life_rule *rule)
{
    if (rule->times == 0)
        return false;
    if (rule->probability < 1 && rng_fraction(&l->rng) >= rule->probability)
        return false;
    if (rule->times > 0)
        rule->times--;
    rule->hits++;
    return true;
}

static struct life_rule *choose(struct lives *l, const struct message *m)
{
    struct match_subject subject = {.account = m->account,
                                    .to = m->to,
                                    .from = m->from,
                                    .service = m->service,
                                    .body = m->body};

    for (size_t i = 0; i < l->count; i++) {
        if (match_fits(&l->rules[i]->match, &subject) && takes(l, l->rules[i]))
            return l->rules[i];
    }
    return NULL;
}

void lives_start(struct lives *l, struct message *m)
{
    struct life_rule *rule = choose(l, m);
    struct life *life;

    if (rule == NULL)
        return;
    rule->refs++;
    life = text_alloc_zeroed(sizeof(*life));
    life->owner = l;
    life->message = m;
    life->rule = rule;
    life->timer = evtimer_new(l->base, on_timer, life);
    TAILQ_INSERT_TAIL(&l->open, life, link);
    l->open_count++;
    wait_for_next(life);
}
