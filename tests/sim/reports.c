#include "reports.h"

#include <inttypes.h>
#include <string.h>

#include "fault_spec.h"
#include "form.h"
#include "render.h"

/* Nanoseconds since 1970 as seconds with six decimals. */
static void add_seconds(struct text *out, int64_t ns)
{
    text_addf(out, "%" PRId64 ".%06" PRId64, ns / 1000000000, ns / 1000 % 1000000);
}

static void add_field(struct text *out, const char *name, const char *value)
{
    text_addf(out, ",\"%s\":", name);
    text_add_json(out, value);
}

static const char *null_if_empty(const char *s)
{
    return *s == '\0' ? NULL : s;
}

static void add_params(struct text *out, const struct form *params)
{
    text_add_string(out, ",\"params\":[");
    for (size_t i = 0; i < params->count; i++) {
        text_add_string(out, i > 0 ? ",[" : "[");
        text_add_json(out, params->pairs[i].name);
        text_add_char(out, ',');
        text_add_json(out, params->pairs[i].value);
        text_add_char(out, ']');
    }
    text_add_char(out, ']');
}

static void add_media(struct text *out, const struct form *params)
{
    const char *url;

    text_add_string(out, ",\"media_urls\":[");
    for (size_t i = 0; (url = form_get_nth(params, "MediaUrl", i)) != NULL; i++) {
        if (i > 0)
            text_add_char(out, ',');
        text_add_json(out, url);
    }
    text_add_char(out, ']');
}

static void add_outcome(struct text *out, const struct log_entry *e)
{
    add_field(out, "fault", e->fault);
    add_field(out, "sid", null_if_empty(e->sid));
    if (e->status == 0)
        text_add_string(out, ",\"status\":null}");
    else
        text_addf(out, ",\"status\":%u}", (unsigned)e->status);
}

static void add_entry(struct text *out, uint64_t n, const struct log_entry *e)
{
    const char *source =
        strcmp(e->data, "POST") == 0 ? e->data + e->body_at : e->data + e->query_at;
    struct form params;

    form_parse(&params, source, strlen(source));
    text_addf(out, "{\"n\":%" PRIu64 ",\"arrived_at\":", n);
    add_seconds(out, e->arrived_at);
    text_addf(out, ",\"connection\":%" PRIu32 ",\"nth_on_connection\":%" PRIu32, e->connection,
              e->nth);
    add_field(out, "method", e->data);
    add_field(out, "path", e->data + e->path_at);
    add_field(out, "query", e->data + e->query_at);
    add_field(out, "account", null_if_empty(e->data + e->account_at));
    add_field(out, "user", null_if_empty(e->data + e->user_at));
    add_field(out, "to", form_get(&params, "To"));
    add_field(out, "from", form_get(&params, "From"));
    add_field(out, "messaging_service_sid", form_get(&params, "MessagingServiceSid"));
    add_field(out, "body", form_get(&params, "Body"));
    add_media(out, &params);
    add_params(out, &params);
    text_add_string(out, ",\"raw_body\":");
    text_add_json_bytes(out, e->data + e->body_at, e->body_len);
    add_outcome(out, e);
    form_release(&params);
}

bool reports_requests(struct text *out, const struct requests_log *log, uint64_t since,
                      uint64_t limit)
{
    uint64_t n = requests_log_first(log);
    uint64_t end = requests_log_end(log);
    uint64_t written = 0;

    if (since >= n)
        n = since < end ? since + 1 : end;
    text_add_char(out, '[');
    for (; n < end && written < limit; n++) {
        if (written++ > 0)
            text_add_string(out, ",\n");
        add_entry(out, n, requests_log_get(log, n));
    }
    text_add_char(out, ']');
    return n < end;
}

static void add_message(struct text *out, const struct message *m)
{
    render_message(out, m, RENDER_JSON, false);
    out->len--; /* the closing brace: there is more to say */
    text_add_string(out, ",\"created_at\":");
    add_seconds(out, m->created_at);
    add_field(out, "sent_to", m->to);
    add_field(out, "sent_body", m->body);
    text_add_string(out, ",\"media_urls\":[");
    for (size_t i = 0; i < m->media_count; i++) {
        if (i > 0)
            text_add_char(out, ',');
        text_add_json(out, m->media[i]);
    }
    text_add_string(out, "]}");
}

bool reports_messages(struct text *out, const struct store *store, const char *to, const char *body,
                      uint64_t limit)
{
    const struct message_list *all = store_list_all(store);
    uint64_t written = 0;
    bool more = false;

    text_add_char(out, '[');
    for (size_t i = 0; i < all->count && !more; i++) {
        const struct message *m = all->items[i];

        if (m->deleted || (to != NULL && strcmp(to, m->to) != 0) ||
            (body != NULL && strcmp(body, m->body) != 0))
            continue;
        if (written == limit) {
            more = true;
            break;
        }
        if (written++ > 0)
            text_add_string(out, ",\n");
        add_message(out, m);
    }
    text_add_char(out, ']');
    return more;
}

void reports_faults(struct text *out, const struct faults *faults)
{
    text_add_char(out, '[');
    for (size_t i = 0; i < faults_count(faults); i++) {
        if (i > 0)
            text_add_string(out, ",\n");
        fault_spec_write(out, faults_get(faults, i));
    }
    text_add_char(out, ']');
}

void reports_stats(struct text *out, const struct requests_log *log, const struct store *store,
                   const struct http_server *server, size_t lives, size_t callbacks)
{
    uint32_t open, total;
    bool first = true;

    http_server_connections(server, &open, &total);
    text_addf(out,
              "{\"requests\":%" PRIu64 ",\"messages\":%zu,\"connections_open\":%" PRIu32
              ",\"connections_total\":%" PRIu32
              ",\"lives_open\":%zu,\"callbacks_open\":%zu,\"by_status\":{",
              requests_log_total(log), store_count(store), open, total, lives, callbacks);
    for (int status = 100; status < 600; status++) {
        uint64_t count = requests_log_count_status(log, status);

        if (count == 0)
            continue;
        text_addf(out, "%s\"%d\":%" PRIu64, first ? "" : ",", status, count);
        first = false;
    }
    text_add_string(out, "}}");
}
