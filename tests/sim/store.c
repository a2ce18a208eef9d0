#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

struct store {
    struct message_list all;
    struct map by_sid;
    struct map indexes; /* "account" and "account/to" -> struct index */
    size_t deleted;
    const struct wall *wall;
    struct rng rng;
};

struct index {
    struct message_list list;
    char *key;
};

bool store_before(const struct message *a, const struct message *b)
{
    return a->created_at != b->created_at ? a->created_at < b->created_at : a->seq < b->seq;
}

/* At the end nearly always: only who plants a message or sets the clock back comes in between. */
static void list_add(struct message_list *list, struct message *m)
{
    size_t at;

    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 4 : list->cap * 2;
        list->items = text_realloc(list->items, list->cap * sizeof(struct message *));
    }
    for (at = list->count++; at > 0 && store_before(m, list->items[at - 1]); at--)
        list->items[at] = list->items[at - 1];
    list->items[at] = m;
}

struct store *store_new(const struct wall *wall)
{
    struct store *s = text_alloc_zeroed(sizeof(*s));

    s->wall = wall;
    rng_init_random(&s->rng);
    return s;
}

void store_discard(struct message *m)
{
    for (size_t i = 0; i < m->media_count; i++)
        free(m->media[i]);
    free(m->media);
    free(m->error_message);
    free(m->status);
    free(m->account);
    free(m->to);
    free(m->from);
    free(m->service);
    free(m->body);
    free(m->shown_to);
    free(m->shown_body);
    free(m->callback);
    free(m);
}

static void free_index(const char *key, void *value, void *arg)
{
    struct index *index = value;

    (void)key;
    (void)arg;
    free(index->list.items);
    free(index->key);
    free(index);
}

void store_reset(struct store *s)
{
    struct store empty = {.wall = s->wall, .rng = s->rng};

    map_each(&s->indexes, free_index, NULL);
    map_release(&s->indexes);
    map_release(&s->by_sid);
    for (size_t i = 0; i < s->all.count; i++)
        store_discard(s->all.items[i]);
    free(s->all.items);
    *s = empty;
}

void store_free(struct store *s)
{
    store_reset(s);
    free(s);
}

struct message *store_draft(struct store *s, const char *prefix)
{
    struct message *m = text_alloc_zeroed(sizeof(*m));

    m->created_at = wall_now(s->wall);
    m->updated_at = m->created_at;
    memcpy(m->sid, prefix, 2);
    rng_hex32(&s->rng, m->sid + 2);
    return m;
}

static bool is_sent(const char *status)
{
    static const char *const sent[] = {"sent", "delivered", "undelivered", "read"};

    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
        if (strcmp(sent[i], status) == 0)
            return true;
    }
    return false;
}

static void set(char **string, const char *value)
{
    free(*string);
    *string = value == NULL ? NULL : text_copy(value);
}

void store_move(const struct store *s, struct message *m, const char *status, int error_code,
                const char *error_message)
{
    free(m->status);
    m->status = text_copy(status);
    set(&m->error_message, error_message);
    m->error_code = error_code;
    m->updated_at = wall_now(s->wall);
    if (m->sent_at == 0 && is_sent(status))
        m->sent_at = m->updated_at;
    if (m->from == NULL && strcmp(status, "accepted") != 0 && strcmp(status, "canceled") != 0)
        m->from = text_copy(STORE_SERVICE_SENDER);
}

void store_redact(const struct store *s, struct message *m)
{
    set(&m->shown_body, "");
    m->updated_at = wall_now(s->wall);
}

const char *message_shown_to(const struct message *m)
{
    return m->shown_to == NULL ? m->to : m->shown_to;
}

const char *message_shown_body(const struct message *m)
{
    return m->shown_body == NULL ? m->body : m->shown_body;
}

/* The key of a list. Neither part can contain a slash in its place: accounts are alphanumeric. */
static const char *index_key(char *buffer, size_t size, const char *account, const char *to)
{
    snprintf(buffer, size, "%s/%s", account, to);
    return buffer;
}

static void index_add(struct store *s, const char *key, struct message *m)
{
    struct index *index = map_get(&s->indexes, key);

    if (index == NULL) {
        index = text_alloc_zeroed(sizeof(*index));
        index->key = text_copy(key);
        map_put(&s->indexes, index->key, index);
    }
    list_add(&index->list, m);
}

void store_add(struct store *s, struct message *m)
{
    char key[256];

    m->seq = s->all.count;
    list_add(&s->all, m);
    map_put(&s->by_sid, m->sid, m);
    index_add(s, m->account, m);
    index_add(s, index_key(key, sizeof(key), m->account, message_shown_to(m)), m);
}

const struct message *store_find_any(const struct store *s, const char *account, const char *sid)
{
    const struct message *m = map_get(&s->by_sid, sid);

    return m != NULL && strcmp(m->account, account) == 0 ? m : NULL;
}

struct message *store_find_sid(const struct store *s, const char *sid)
{
    struct message *m = map_get(&s->by_sid, sid);

    return m != NULL && !m->deleted ? m : NULL;
}

struct message *store_find(const struct store *s, const char *account, const char *sid)
{
    struct message *m = store_find_sid(s, sid);

    return m != NULL && strcmp(m->account, account) == 0 ? m : NULL;
}

size_t store_count(const struct store *s)
{
    return s->all.count - s->deleted;
}

void store_delete(struct store *s, struct message *m)
{
    if (!m->deleted)
        s->deleted++;
    m->deleted = true;
}

const struct message_list *store_list(const struct store *s, const char *account, const char *to)
{
    static const struct message_list empty;
    char key[256];
    const struct index *index =
        map_get(&s->indexes, to == NULL ? account : index_key(key, sizeof(key), account, to));

    return index == NULL ? &empty : &index->list;
}

const struct message_list *store_list_all(const struct store *s)
{
    return &s->all;
}
