#include "twilio_list.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_SIZE = 50, PAGE_SIZE_MAX = 1000 };

/* A page token is "PA" or "PB" and the SID of the message that the page follows (older ones) or
 * precedes. */
struct page {
    const struct message_list *list;
    const struct form *query;
    const char *path;
    const char *from;
    size_t size, number;
    size_t start, stop; /* the candidates: list positions [start, stop) */
    bool backwards;     /* take the oldest candidates instead of the newest */
    const struct message **found;
    size_t count;
    bool more; /* there are further matches in the direction of travel */
};

static size_t number_or(const char *s, size_t otherwise)
{
    char *end;
    unsigned long value;

    if (s == NULL || *s < '0' || *s > '9')
        return otherwise;
    value = strtoul(s, &end, 10);
    return *end == '\0' ? value : otherwise;
}

static bool day_matches(const struct form *query, const char *day)
{
    const char *on = form_get_nonempty(query, "DateSent");
    const char *until = form_get_nonempty(query, "DateSent<");
    const char *since = form_get_nonempty(query, "DateSent>");

    return (on == NULL || strncmp(day, on, 10) == 0) &&
           (until == NULL || strncmp(day, until, 10) <= 0) &&
           (since == NULL || strncmp(day, since, 10) >= 0);
}

static bool has_date_filter(const struct form *query)
{
    for (size_t i = 0; i < query->count; i++) {
        if (strncmp(query->pairs[i].name, "DateSent", 8) == 0)
            return true;
    }
    return false;
}

/* The first position whose message is not older than `m`. Lists are in order of creation. */
static size_t position_of(const struct message_list *list, const struct message *m)
{
    size_t low = 0;
    size_t high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (store_before(list->items[middle], m))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void apply_token(struct page *p, const struct store *store, const char *account)
{
    const char *token = form_get(p->query, "PageToken");
    const struct message *anchor;
    size_t at;

    if (token == NULL || strlen(token) < 2)
        return;
    anchor = store_find_any(store, account, token + 2);
    if (anchor == NULL)
        return;
    at = position_of(p->list, anchor);
    if (strncmp(token, "PB", 2) == 0) {
        p->backwards = true;
        p->start = at < p->list->count && p->list->items[at] == anchor ? at + 1 : at;
    } else {
        p->stop = at;
    }
}

static bool wanted(const struct page *p, const struct message *m, bool dates)
{
    char day[16];

    if (m->deleted)
        return false;
    if (p->from != NULL && (m->from == NULL || strcmp(m->from, p->from) != 0))
        return false;
    if (!dates)
        return true;
    render_day(m->sent_at != 0 ? m->sent_at : m->created_at, day);
    return day_matches(p->query, day);
}

static void collect(struct page *p, size_t skip)
{
    bool dates = has_date_filter(p->query);

    for (size_t i = p->start; i < p->stop && !p->more; i++) {
        size_t at = p->backwards ? i : p->stop - 1 - (i - p->start);
        const struct message *m = p->list->items[at];

        if (!wanted(p, m, dates))
            continue;
        if (skip > 0)
            skip--;
        else if (p->count < p->size)
            p->found[p->count++] = m;
        else
            p->more = true;
    }
    /* Whichever way they were gathered, they are shown newest first. */
    for (size_t i = 0; p->backwards && i < p->count / 2; i++) {
        const struct message *other = p->found[i];

        p->found[i] = p->found[p->count - 1 - i];
        p->found[p->count - 1 - i] = other;
    }
}

/* The request's own filters with another page; `sid` NULL means without a token. */
static void add_page_uri(struct text *out, const struct page *p, size_t number, const char *prefix,
                         const char *sid)
{
    text_add_string(out, p->path);
    text_add_char(out, '?');
    for (size_t i = 0; i < p->query->count; i++) {
        const struct form_pair *pair = &p->query->pairs[i];

        if (strncmp(pair->name, "Page", 4) == 0)
            continue;
        text_add_urlencoded(out, pair->name);
        text_add_char(out, '=');
        text_add_urlencoded(out, pair->value);
        text_add_char(out, '&');
    }
    text_addf(out, "PageSize=%zu&Page=%zu", p->size, number);
    if (sid != NULL)
        text_addf(out, "&PageToken=%s%s", prefix, sid);
}

/* "name": "uri", or null. */
static void add_uri_field(struct text *out, const char *name, const struct text *uri)
{
    text_addf(out, "\"%s\": ", name);
    text_add_json(out, uri->len == 0 ? NULL : text_string(uri));
    text_add_string(out, ", ");
}

static void add_uris(struct text *out, const struct page *p)
{
    bool older = p->count > 0 && (p->backwards || p->more);
    struct text uri = {0};

    add_page_uri(&uri, p, 0, "", NULL);
    add_uri_field(out, "first_page_uri", &uri);
    text_clear(&uri);
    if (older)
        add_page_uri(&uri, p, p->number + 1, "PA", p->found[p->count - 1]->sid);
    add_uri_field(out, "next_page_uri", &uri);
    text_clear(&uri);
    if (p->number > 0 && p->count > 0)
        add_page_uri(&uri, p, p->number - 1, "PB", p->found[0]->sid);
    add_uri_field(out, "previous_page_uri", &uri);
    text_clear(&uri);
    add_page_uri(&uri, p, p->number, "", NULL);
    add_uri_field(out, "uri", &uri);
    text_release(&uri);
}

static void write_json(struct text *out, const struct page *p)
{
    size_t first = p->number * p->size;

    text_add_char(out, '{');
    add_uris(out, p);
    text_addf(out,
              "\"page\": %zu, \"page_size\": %zu, \"start\": %zu, \"end\": %zu, \"messages\": [",
              p->number, p->size, first, p->count == 0 ? first : first + p->count - 1);
    for (size_t i = 0; i < p->count; i++) {
        if (i > 0)
            text_add_string(out, ", ");
        render_message(out, p->found[i], RENDER_JSON, false);
    }
    text_add_string(out, "]}");
}

static void write_xml(struct text *out, const struct page *p)
{
    text_addf(out,
              "<?xml version='1.0' encoding='UTF-8'?>\n<TwilioResponse><Messages page=\"%zu\" "
              "pagesize=\"%zu\">",
              p->number, p->size);
    for (size_t i = 0; i < p->count; i++)
        render_message(out, p->found[i], RENDER_XML, false);
    text_add_string(out, "</Messages></TwilioResponse>");
}

void twilio_list(struct text *out, const struct store *store, const char *account, const char *path,
                 const struct form *query, enum render_format format)
{
    struct page p = {.query = query, .path = path, .from = form_get_nonempty(query, "From")};
    bool token = form_get_nonempty(query, "PageToken") != NULL;

    p.list = store_list(store, account, form_get_nonempty(query, "To"));
    p.stop = p.list->count;
    p.size = number_or(form_get(query, "PageSize"), PAGE_SIZE);
    if (p.size == 0)
        p.size = PAGE_SIZE;
    if (p.size > PAGE_SIZE_MAX)
        p.size = PAGE_SIZE_MAX;
    p.number = number_or(form_get(query, "Page"), 0);
    if (p.number > SIZE_MAX / PAGE_SIZE_MAX - 1)
        p.number = 0;
    p.found = text_alloc_zeroed(p.size * sizeof(*p.found));
    apply_token(&p, store, account);
    /* Without a token a page is counted off from the newest message. */
    collect(&p, token ? 0 : p.number * p.size);
    if (format == RENDER_XML)
        write_xml(out, &p);
    else
        write_json(out, &p);
    free(p.found);
}
