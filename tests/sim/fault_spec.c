#include "fault_spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "render.h"

enum { MAX_DELAY_MS = 24 * 60 * 60 * 1000, MAX_PADDING = 256 * 1024 * 1024, MAX_TIMES = INT32_MAX };

/* Which parameters each fault knows beside those that all know; ends with NULL. */
static const char *const parameters[FAULT_KINDS][7] = {
    [FAULT_DELAY] = {"ms", "accept_first"},
    [FAULT_ACCEPT_CUT] = {"bytes"},
    [FAULT_STATUS] = {"status", "body", "content_type", "retry_after", "accept"},
    [FAULT_ERROR] = {"status", "code", "message", "retry_after", "accept"},
    [FAULT_ECHO_AUTHORIZATION] = {"status", "accept"},
    [FAULT_HUGE_BODY] = {"bytes"},
};

static bool parse_kind(struct fields *f, enum fault_kind *ret_kind)
{
    const char *name = json_string_value(json_object_get(f->object, "fault"));
    char known[256] = "";

    for (int i = 0; i < FAULT_KINDS; i++) {
        const char *candidate = fault_kind_name((enum fault_kind)i);
        size_t len = strlen(known);

        if (name != NULL && strcmp(name, candidate) == 0) {
            *ret_kind = (enum fault_kind)i;
            return true;
        }
        snprintf(known + len, sizeof(known) - len, "%s%s", i > 0 ? ", " : "", candidate);
    }
    fields_fail(f, "field 'fault': expected one of %s", known);
    return false;
}

static void check_names(struct fields *f, enum fault_kind kind)
{
    const char *names[16] = {"fault", "match", "times", "probability", "skip"};
    size_t count = 5;

    for (size_t i = 0; parameters[kind][i] != NULL; i++)
        names[count++] = parameters[kind][i];
    fields_allow(f, names);
}

static void parse_match(struct fields *f, struct fault_match *m)
{
    static const char *const names[] = {"account", "to", "from", "body_contains", "method", NULL};
    static const char *const methods[] = {"POST", "GET", "DELETE", "PUT", "HEAD", "ANY", NULL};
    struct fields inner = {.object = json_object_get(f->object, "match")};
    size_t i = 0;

    if (!fields_has(f, "match"))
        return;
    if (!json_is_object(inner.object)) {
        fields_fail(f, "field 'match': expected an object");
        return;
    }
    fields_allow(&inner, names);
    match_parse(&m->params, &inner);
    m->method = fields_string(&inner, "method");
    while (m->method != NULL && methods[i] != NULL && strcmp(methods[i], m->method) != 0)
        i++;
    if (methods[i] == NULL)
        fields_fail(&inner, "field 'method': expected POST, GET, DELETE, PUT, HEAD or ANY");
    if (!fields_ok(&inner))
        fields_fail(f, "in 'match': %.200s", inner.error);
}

/* A number of seconds or, as HTTP has it too, a date. */
static char *parse_retry_after(struct fields *f)
{
    const json_t *value = json_object_get(f->object, "retry_after");
    char digits[24];

    if (!json_is_integer(value))
        return fields_header(f, "retry_after");
    snprintf(digits, sizeof(digits), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return text_copy(digits);
}

static void parse_parameters(struct fields *f, struct fault *rule)
{
    const char *ignored;
    int known_status;

    if (rule->kind == FAULT_DELAY)
        rule->ms = fields_required_int(f, "ms", 0, MAX_DELAY_MS);
    if (rule->kind == FAULT_HUGE_BODY)
        rule->bytes = fields_required_int(f, "bytes", 0, MAX_PADDING);
    else
        rule->bytes = fields_int(f, "bytes", 0, MAX_PADDING, -1);
    if (rule->kind == FAULT_STATUS)
        rule->status = (int)fields_required_int(f, "status", 200, 599);
    else
        rule->status = (int)fields_int(f, "status", 200, 599, 0);
    if (rule->kind == FAULT_ERROR)
        rule->code = (int)fields_required_int(f, "code", 1, 999999);
    if (rule->kind == FAULT_ERROR && rule->status == 0 &&
        !render_default_error(rule->code, &known_status, &ignored))
        fields_fail(f, "field 'status': missing, expected the HTTP status for code %d", rule->code);
    rule->accept_first = fields_bool(f, "accept_first", false);
    rule->accept = fields_bool(f, "accept", false);
    rule->body = fields_string(f, "body");
    rule->message = fields_string(f, "message");
    rule->content_type = fields_header(f, "content_type");
    rule->retry_after = parse_retry_after(f);
}

struct fault *fault_spec_parse(struct fields *f)
{
    enum fault_kind kind;
    struct fault *rule;

    if (!parse_kind(f, &kind))
        return NULL;
    rule = fault_new(kind);
    check_names(f, kind);
    parse_match(f, &rule->match);
    rule->times = fields_int(f, "times", 0, MAX_TIMES, -1);
    rule->skip = fields_int(f, "skip", 0, MAX_TIMES, 0);
    rule->probability = fields_fraction(f, "probability", 1);
    parse_parameters(f, rule);
    if (fields_ok(f))
        return rule;
    fault_unref(rule);
    return NULL;
}

/* ,"name":"value", or nothing for NULL */
static void write_string(struct text *out, const char *name, const char *value)
{
    if (value == NULL)
        return;
    text_addf(out, ",\"%s\":", name);
    text_add_json(out, value);
}

static void write_number(struct text *out, const char *name, int64_t value, bool given)
{
    if (given)
        text_addf(out, ",\"%s\":%" PRId64, name, value);
}

static void write_match(struct text *out, const struct fault_match *m)
{
    text_add_string(out, ",\"match\":{\"method\":");
    text_add_json(out, m->method == NULL ? "POST" : m->method);
    write_string(out, "account", m->params.account);
    write_string(out, "to", m->params.to);
    write_string(out, "from", m->params.from);
    write_string(out, "body_contains", m->params.body_contains);
    text_add_char(out, '}');
}

void fault_spec_write(struct text *out, const struct fault *rule)
{
    text_addf(out, "{\"id\":%" PRIu64 ",\"fault\":\"%s\",\"hits\":%" PRIu64, rule->id,
              fault_kind_name(rule->kind), rule->hits);
    text_add_string(out, ",\"times\":");
    if (rule->times < 0)
        text_add_string(out, "null");
    else
        text_addf(out, "%" PRId64, rule->times);
    text_addf(out, ",\"skip\":%" PRId64 ",\"probability\":%.9g", rule->skip, rule->probability);
    write_match(out, &rule->match);
    write_number(out, "ms", rule->ms, rule->kind == FAULT_DELAY);
    write_number(out, "bytes", rule->bytes, rule->bytes >= 0);
    write_number(out, "status", rule->status, rule->status != 0);
    write_number(out, "code", rule->code, rule->code != 0);
    if (rule->accept_first)
        text_add_string(out, ",\"accept_first\":true");
    if (rule->accept)
        text_add_string(out, ",\"accept\":true");
    write_string(out, "body", rule->body);
    write_string(out, "content_type", rule->content_type);
    write_string(out, "message", rule->message);
    write_string(out, "retry_after", rule->retry_after);
    text_add_char(out, '}');
}
