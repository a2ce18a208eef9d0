#include "control.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "fault_spec.h"
#include "fields.h"
#include "form.h"
#include "gaps.h"
#include "life_spec.h"
#include "reports.h"
#include "text.h"

static const char PREFIX[] = "/_sim/";

enum { DEFAULT_LIMIT = 10000, MAX_LIMIT = 100000, MAX_LATENCY_MS = 60 * 60 * 1000 };

/* How far Twilio's clock may be off, and how old a planted message may be: ten years. */
static const int64_t MAX_SHIFT_MS = (int64_t)3650 * 24 * 60 * 60 * 1000;

/* One control request on its way through its handler. */
struct control {
    struct twilio_api *api;
    const struct http_server *server;
    const char *rest;     /* of the path, behind the matched name: "" or "/…" */
    struct fields fields; /* the JSON body, and the first error */
    struct form query;
    struct text out;
    int status; /* of the answer; errors in `fields` make it 400 */
    bool more;  /* a list was cut short by its limit */
};

static void post_fault(struct control *c)
{
    struct fault *rule = fault_spec_parse(&c->fields);

    if (rule == NULL)
        return;
    c->status = 201;
    text_addf(&c->out, "{\"id\":%" PRIu64 "}", faults_add(twilio_api_faults(c->api), rule));
}

static void get_faults(struct control *c)
{
    reports_faults(&c->out, twilio_api_faults(c->api));
}

static void not_found(struct control *c, const char *what)
{
    c->status = 404;
    text_addf(&c->out, "{\"error\":\"there is no such %s\"}", what);
}

/* The number behind the name, 0 if it is none. */
static uint64_t read_id(const struct control *c)
{
    char *end;
    uint64_t id = strtoull(c->rest + 1, &end, 10);

    return *end == '\0' ? id : 0;
}

/* Hung requests go on as soon as the rule that holds them is gone. */
static void delete_faults(struct control *c)
{
    struct faults *faults = twilio_api_faults(c->api);
    size_t count = faults_count(faults);
    uint64_t id = 0;

    if (*c->rest == '/') {
        id = read_id(c);
        if (id == 0 || !faults_remove(faults, id)) {
            not_found(c, "fault");
            return;
        }
        count = 1;
    } else {
        faults_clear(faults);
    }
    text_addf(&c->out, "{\"removed\":%zu}", count);
    twilio_api_release_hung(c->api, id);
}

static void post_life(struct control *c)
{
    struct life_rule *rule = life_spec_parse(&c->fields);

    if (rule == NULL)
        return;
    c->status = 201;
    text_addf(&c->out, "{\"id\":%" PRIu64 "}", lives_add(twilio_api_lives(c->api), rule));
}

static void get_lives(struct control *c)
{
    const struct lives *lives = twilio_api_lives(c->api);

    text_add_char(&c->out, '[');
    for (size_t i = 0; i < lives_count(lives); i++) {
        if (i > 0)
            text_add_string(&c->out, ",\n");
        life_spec_write(&c->out, lives_get(lives, i));
    }
    text_add_char(&c->out, ']');
}

static void delete_lives(struct control *c)
{
    struct lives *lives = twilio_api_lives(c->api);
    size_t count = 1;

    if (*c->rest != '/')
        count = lives_clear(lives);
    else if (!lives_remove(lives, read_id(c)))
        not_found(c, "life");
    if (c->status == 200)
        text_addf(&c->out, "{\"removed\":%zu}", count);
}

static uint64_t read_limit(struct control *c)
{
    uint64_t limit = fields_query_number(&c->fields, &c->query, "limit", DEFAULT_LIMIT);

    if (limit > MAX_LIMIT)
        fields_fail(&c->fields, "query parameter 'limit': expected at most %d", MAX_LIMIT);
    return limit;
}

static void get_callbacks(struct control *c)
{
    static const char *const names[] = {"since", "limit", NULL};
    uint64_t since = fields_query_number(&c->fields, &c->query, "since", 0);
    uint64_t limit = read_limit(c);

    fields_query_allow(&c->fields, &c->query, names);
    if (fields_ok(&c->fields))
        c->more = callbacks_report(&c->out, twilio_api_callbacks(c->api), since, limit);
}

static void post_opt_out(struct control *c)
{
    static const char *const names[] = {"from", "to", NULL};
    char *from = fields_string(&c->fields, "from");
    char *to = fields_string(&c->fields, "to");

    fields_allow(&c->fields, names);
    if (from == NULL || to == NULL)
        fields_fail(&c->fields, "fields 'from' and 'to': expected strings");
    if (fields_ok(&c->fields)) {
        opt_outs_add(twilio_api_opt_outs(c->api), from, to);
        c->status = 201;
        text_add_string(&c->out, "{\"opted_out\":true}");
    }
    free(from);
    free(to);
}

static void delete_opt_outs(struct control *c)
{
    static const char *const names[] = {"from", "to", NULL};
    struct opt_outs *opt_outs = twilio_api_opt_outs(c->api);
    const char *from = form_get(&c->query, "from");
    const char *to = form_get(&c->query, "to");

    fields_query_allow(&c->fields, &c->query, names);
    if ((from == NULL) != (to == NULL))
        fields_fail(&c->fields, "query: expected both 'from' and 'to', or neither");
    if (fields_ok(&c->fields))
        text_addf(&c->out, "{\"removed\":%zu}",
                  from == NULL ? opt_outs_clear(opt_outs) : opt_outs_remove(opt_outs, from, to));
}

static void post_seed(struct control *c)
{
    static const char *const names[] = {"seed", NULL};
    int64_t seed = fields_required_int(&c->fields, "seed", 0, INT64_MAX);

    fields_allow(&c->fields, names);
    if (!fields_ok(&c->fields))
        return;
    faults_seed(twilio_api_faults(c->api), (uint64_t)seed);
    lives_seed(twilio_api_lives(c->api), (uint64_t)seed);
    text_addf(&c->out, "{\"seed\":%" PRId64 "}", seed);
}

static void post_latency(struct control *c)
{
    static const char *const names[] = {"ms", NULL};
    int64_t ms = fields_required_int(&c->fields, "ms", 0, MAX_LATENCY_MS);

    fields_allow(&c->fields, names);
    if (!fields_ok(&c->fields))
        return;
    twilio_api_set_latency(c->api, ms);
    text_addf(&c->out, "{\"ms\":%" PRId64 "}", ms);
}

static void post_clock(struct control *c)
{
    static const char *const names[] = {"offset_ms", NULL};
    int64_t ms = fields_required_int(&c->fields, "offset_ms", -MAX_SHIFT_MS, MAX_SHIFT_MS);

    fields_allow(&c->fields, names);
    if (!fields_ok(&c->fields))
        return;
    twilio_api_set_clock(c->api, ms);
    text_addf(&c->out, "{\"offset_ms\":%" PRId64 "}", ms);
}

static void post_account(struct control *c)
{
    static const char *const names[] = {"account_sid", "auth_token", NULL};
    char *sid = fields_string(&c->fields, "account_sid");
    char *token = fields_string(&c->fields, "auth_token");

    fields_allow(&c->fields, names);
    if (sid == NULL || !twilio_auth_is_sid(sid, "AC"))
        fields_fail(&c->fields, "field 'account_sid': expected AC and 32 letters or digits");
    if (token == NULL || *token == '\0')
        fields_fail(&c->fields, "field 'auth_token': expected a string that is not empty");
    if (fields_ok(&c->fields)) {
        twilio_auth_set(twilio_api_auth(c->api), sid, token);
        text_add_string(&c->out, "{\"account_sid\":");
        text_add_json(&c->out, sid);
        text_add_char(&c->out, '}');
    }
    free(sid);
    free(token);
}

static void post_reset(struct control *c)
{
    twilio_api_reset(c->api);
    text_add_string(&c->out, "{\"reset\":true}");
}

static void get_requests(struct control *c)
{
    static const char *const names[] = {"since", "limit", NULL};
    uint64_t since = fields_query_number(&c->fields, &c->query, "since", 0);
    uint64_t limit = read_limit(c);

    fields_query_allow(&c->fields, &c->query, names);
    if (fields_ok(&c->fields))
        c->more = reports_requests(&c->out, twilio_api_log(c->api), since, limit);
}

static void delete_requests(struct control *c)
{
    struct requests_log *log = twilio_api_log(c->api);

    text_addf(&c->out, "{\"removed\":%" PRIu64 "}",
              requests_log_end(log) - requests_log_first(log));
    requests_log_clear(log);
}

/* Reads what is to be planted; errors are in the fields. */
static struct message *read_message(struct control *c)
{
    static const char *const names[] = {
        "account_sid",     "to", "from", "messaging_service_sid", "body", "age_ms", "media_urls",
        "status_callback", NULL};
    struct fields *f = &c->fields;
    size_t media_count;
    char **media = fields_strings(f, "media_urls", &media_count);
    struct message *m = store_draft(twilio_api_store(c->api), media_count > 0 ? "MM" : "SM");

    m->media = media;
    m->media_count = media_count;
    m->account = fields_string(f, "account_sid");
    m->to = fields_string(f, "to");
    m->from = fields_string(f, "from");
    m->service = fields_string(f, "messaging_service_sid");
    m->body = fields_has(f, "body") ? fields_string(f, "body") : text_copy("");
    m->callback = fields_string(f, "status_callback");
    m->status = text_copy(m->service == NULL ? "queued" : "accepted");
    m->num_segments = 1;
    m->created_at -= fields_int(f, "age_ms", 0, MAX_SHIFT_MS, 0) * 1000000;
    m->updated_at = m->created_at;
    fields_allow(f, names);
    if (m->account == NULL || !twilio_auth_is_sid(m->account, "AC"))
        fields_fail(f, "field 'account_sid': expected AC and 32 letters or digits");
    if (m->to == NULL || *m->to == '\0')
        fields_fail(f, "field 'to': expected a string that is not empty");
    if (m->from == NULL && m->service == NULL)
        fields_fail(f, "field 'from': missing, and there is no 'messaging_service_sid'");
    return m;
}

/* A message that nobody asked for here: no entry in the log, no fault. */
static void plant_message(struct control *c)
{
    struct message *m = read_message(c);

    if (!fields_ok(&c->fields)) {
        store_discard(m);
        return;
    }
    store_add(twilio_api_store(c->api), m);
    c->status = 201;
    text_addf(&c->out, "{\"sid\":\"%s\"}", m->sid);
}

static void move_message(struct control *c, struct message *m)
{
    struct step step;

    life_spec_parse_move(&c->fields, &step);
    if (fields_ok(&c->fields)) {
        lives_move(twilio_api_lives(c->api), m, &step);
        text_addf(&c->out, "{\"sid\":\"%s\",\"status\":", m->sid);
        text_add_json(&c->out, m->status);
        text_add_char(&c->out, '}');
    }
    step_release(&step);
}

/* "/{sid}/status" behind the name moves a message, nothing plants one. */
static void post_message(struct control *c)
{
    static const char TAIL[] = "/status";
    size_t len = strlen(c->rest);
    struct message *m = NULL;
    char *sid;

    if (len == 0) {
        plant_message(c);
        return;
    }
    if (len > strlen(TAIL) + 1 && strcmp(c->rest + len - strlen(TAIL), TAIL) == 0) {
        sid = text_copy_bytes(c->rest + 1, len - strlen(TAIL) - 1);
        m = store_find_sid(twilio_api_store(c->api), sid);
        free(sid);
    }
    if (m == NULL)
        not_found(c, "message");
    else
        move_message(c, m);
}

static void get_messages(struct control *c)
{
    static const char *const names[] = {"to", "body", "limit", NULL};
    uint64_t limit = read_limit(c);

    fields_query_allow(&c->fields, &c->query, names);
    if (fields_ok(&c->fields))
        c->more = reports_messages(&c->out, twilio_api_store(c->api), form_get(&c->query, "to"),
                                   form_get(&c->query, "body"), limit);
}

static void get_stats(struct control *c)
{
    reports_stats(&c->out, twilio_api_log(c->api), twilio_api_store(c->api), c->server,
                  lives_open(twilio_api_lives(c->api)),
                  callbacks_open(twilio_api_callbacks(c->api)));
}

static void get_gaps(struct control *c)
{
    static const char *const names[] = {"key", NULL};
    const char *key = form_get(&c->query, "key");
    enum gaps_key by = GAPS_BY_TO;

    fields_query_allow(&c->fields, &c->query, names);
    if (key == NULL || strcmp(key, "to") == 0)
        by = GAPS_BY_TO;
    else if (strcmp(key, "from") == 0)
        by = GAPS_BY_FROM;
    else if (strcmp(key, "account") == 0)
        by = GAPS_BY_ACCOUNT;
    else
        fields_fail(&c->fields, "query parameter 'key': expected to, from or account");
    if (fields_ok(&c->fields))
        gaps_report(twilio_api_log(c->api), by, &c->out);
}

struct route {
    const char *method, *name;
    void (*handle)(struct control *c);
    bool needs_body;
    bool takes_id; /* "/name/ID" beside "/name" */
};

static const struct route routes[] = {
    {"POST", "faults", post_fault, true, false},
    {"GET", "faults", get_faults, false, false},
    {"DELETE", "faults", delete_faults, false, true},
    {"POST", "seed", post_seed, true, false},
    {"POST", "latency", post_latency, true, false},
    {"POST", "clock", post_clock, true, false},
    {"POST", "accounts", post_account, true, false},
    {"POST", "reset", post_reset, false, false},
    {"GET", "requests", get_requests, false, false},
    {"DELETE", "requests", delete_requests, false, false},
    {"POST", "lives", post_life, true, false},
    {"GET", "lives", get_lives, false, false},
    {"DELETE", "lives", delete_lives, false, true},
    {"GET", "callbacks", get_callbacks, false, false},
    {"POST", "opt_outs", post_opt_out, true, false},
    {"DELETE", "opt_outs", delete_opt_outs, false, false},
    {"POST", "messages", post_message, true, true},
    {"GET", "messages", get_messages, false, false},
    {"GET", "stats", get_stats, false, false},
    {"GET", "gaps", get_gaps, false, false},
};

/* Finds the route; NULL and a status when there is none. `name` starts behind the prefix. */
static const struct route *find_route(const char *method, const char *name, int *ret_status)
{
    size_t len = strcspn(name, "/");

    *ret_status = 404;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct route *r = &routes[i];

        if (strlen(r->name) != len || strncmp(r->name, name, len) != 0)
            continue;
        if (name[len] == '/' && !r->takes_id)
            continue;
        if (strcmp(r->method, method) == 0)
            return r;
        *ret_status = 405;
    }
    return NULL;
}

static void run_route(struct control *c, const struct route *route, const struct http_request *req)
{
    json_error_t error;
    json_t *body = NULL;

    if (route->needs_body) {
        body = json_loadb(req->body, req->body_len, JSON_REJECT_DUPLICATES, &error);
        if (body == NULL)
            fields_fail(&c->fields, "body: expected JSON (%.150s at byte %d)", error.text,
                        error.position);
        else if (!json_is_object(body))
            fields_fail(&c->fields, "body: expected a JSON object");
    }
    c->fields.object = body;
    if (fields_ok(&c->fields))
        route->handle(c);
    json_decref(body);
}

static void finish(struct control *c, struct http_exchange *ex)
{
    struct http_answer answer = {.content_type = "application/json"};

    if (!fields_ok(&c->fields)) {
        c->status = 400;
        text_clear(&c->out);
        text_add_string(&c->out, "{\"error\":");
        text_add_json(&c->out, c->fields.error);
        text_add_char(&c->out, '}');
    }
    text_add_char(&c->out, '\n');
    answer.status = c->status;
    answer.headers = c->more ? "X-Sim-More: true\r\n" : NULL;
    answer.body = text_string(&c->out);
    answer.body_len = c->out.len;
    http_exchange_answer(ex, &answer);
}

bool control_owns(const char *path)
{
    return strncmp(path, PREFIX, strlen(PREFIX)) == 0;
}

void control_handle(struct http_exchange *ex, struct twilio_api *api,
                    const struct http_server *server)
{
    const struct http_request *req = http_exchange_request(ex);
    struct control c = {.api = api, .server = server, .status = 200};
    const char *name = req->path + strlen(PREFIX);
    int refusal;
    const struct route *route = find_route(req->method, name, &refusal);

    form_parse(&c.query, req->query, strlen(req->query));
    if (route != NULL) {
        c.rest = name + strlen(route->name);
        run_route(&c, route, req);
    } else {
        c.status = refusal;
        text_addf(&c.out, "{\"error\":\"%s\"}",
                  refusal == 405 ? "this path does not know this method" : "no such path");
    }
    finish(&c, ex);
    form_release(&c.query);
    text_release(&c.out);
}
