#include "life_spec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WAIT_MS = 24 * 60 * 60 * 1000, MAX_STEPS = 100, MAX_REPEAT = 100, MAX_CODE = 999999 };

/* The place of a string among `names`, 0 if it is not given. */
static int parse_choice(struct fields *f, const char *name, const char *const *names,
                        const char *expected)
{
    const char *value = json_string_value(json_object_get(f->object, name));

    if (!fields_has(f, name))
        return 0;
    for (int i = 0; names[i] != NULL; i++) {
        if (value != NULL && strcmp(value, names[i]) == 0)
            return i;
    }
    fields_fail(f, "field '%s': expected %s", name, expected);
    return 0;
}

static void add_extra(struct fields *f, struct params *p, const char *name, const json_t *value)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;

    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;

        if (json_is_string(item))
            params_add(p, name, json_string_value(item));
        else
            fields_fail(f, "field 'extra': expected an object of strings, or of arrays of them");
    }
}

static void parse_extra(struct fields *f, struct params *p)
{
    json_t *extra = json_object_get(f->object, "extra");
    const char *name;
    json_t *value;

    if (fields_has(f, "extra") && !json_is_object(extra))
        fields_fail(f, "field 'extra': expected an object");
    json_object_foreach(extra, name, value)
    {
        add_extra(f, p, name, value);
    }
}

/* What both kinds of steps have. */
static void parse_step(struct fields *f, struct step *s)
{
    static const char *const signatures[] = {
        [SIGNATURE_GOOD] = "good", [SIGNATURE_BAD] = "bad", [SIGNATURE_ABSENT] = "absent", NULL};

    *s = (struct step){0};
    s->status = fields_string(f, "status");
    if (s->status == NULL || *s->status == '\0')
        fields_fail(f, "field 'status': expected a string that is not empty");
    s->error_code = (int)fields_int(f, "error_code", 1, MAX_CODE, 0);
    s->error_message = fields_string(f, "error_message");
    if (fields_has(f, "callback"))
        s->callback = fields_bool(f, "callback", true) ? CALLBACK_ALWAYS : CALLBACK_NEVER;
    s->repeat = (int)fields_int(f, "repeat", 1, MAX_REPEAT, 1);
    s->options.signature =
        (unsigned)parse_choice(f, "signature", signatures, "good, bad or absent");
    s->options.delay_ms = fields_int(f, "delay_callback_ms", 0, MAX_WAIT_MS, 0);
    s->options.parallel = fields_bool(f, "parallel", false);
    parse_extra(f, &s->options.extra);
}

static const char *const move_names[] = {
    "status",    "error_code", "error_message", "callback", "repeat", "delay_callback_ms",
    "signature", "parallel",   "extra",         NULL};
static const char *const step_names[] = {
    "status",    "error_code", "error_message", "callback", "repeat", "delay_callback_ms",
    "signature", "parallel",   "extra",         "after_ms", NULL};

void life_spec_parse_move(struct fields *f, struct step *ret_step)
{
    fields_allow(f, move_names);
    parse_step(f, ret_step);
}

static void parse_steps(struct fields *f, struct life_rule *rule)
{
    json_t *steps = json_object_get(f->object, "steps");
    size_t count = json_array_size(steps);

    if (count < 1 || count > MAX_STEPS) {
        fields_fail(f, "field 'steps': expected an array of 1 to %d steps", MAX_STEPS);
        return;
    }
    rule->steps = text_alloc_zeroed(count * sizeof(*rule->steps));
    for (size_t i = 0; i < count; i++) {
        struct fields inner = {.object = json_array_get(steps, i)};

        if (!json_is_object(inner.object)) {
            fields_fail(f, "in 'steps': expected objects");
            return;
        }
        fields_allow(&inner, step_names);
        parse_step(&inner, &rule->steps[rule->count++]);
        rule->steps[i].after_ms = fields_int(&inner, "after_ms", 0, MAX_WAIT_MS, 0);
        if (!fields_ok(&inner))
            fields_fail(f, "in step %zu: %.200s", i + 1, inner.error);
    }
}

static void parse_match(struct fields *f, struct match *m)
{
    static const char *const names[] = {"account", "to", "from", "body_contains", NULL};
    struct fields inner = {.object = json_object_get(f->object, "match")};

    if (!fields_has(f, "match"))
        return;
    if (!json_is_object(inner.object)) {
        fields_fail(f, "field 'match': expected an object");
        return;
    }
    fields_allow(&inner, names);
    match_parse(m, &inner);
    if (!fields_ok(&inner))
        fields_fail(f, "in 'match': %.200s", inner.error);
}

static void withhold_callbacks(struct life_rule *rule)
{
    for (size_t i = 0; i < rule->count; i++)
        rule->steps[i].callback = CALLBACK_NEVER;
}

struct life_rule *life_spec_parse(struct fields *f)
{
    enum { IN_ORDER, REVERSED, WITHHELD };
    static const char *const orders[] = {"in_order", "reversed", "withheld", NULL};
    static const char *const names[] = {"match",     "times", "probability",
                                        "callbacks", "steps", NULL};
    struct life_rule *rule = life_rule_new();
    int order = parse_choice(f, "callbacks", orders, "in_order, reversed or withheld");

    fields_allow(f, names);
    parse_match(f, &rule->match);
    rule->times = fields_int(f, "times", 0, INT32_MAX, -1);
    rule->probability = fields_fraction(f, "probability", 1);
    rule->reversed = order == REVERSED;
    rule->spec = json_incref(f->object);
    parse_steps(f, rule);
    if (order == WITHHELD)
        withhold_callbacks(rule);
    if (fields_ok(f))
        return rule;
    life_rule_unref(rule);
    return NULL;
}

void life_spec_write(struct text *out, const struct life_rule *rule)
{
    char *spec = json_dumps(rule->spec, JSON_COMPACT);

    text_addf(out, "{\"id\":%" PRIu64 ",\"hits\":%" PRIu64 ",\"rule\":%s}", rule->id, rule->hits,
              spec);
    free(spec);
}
