#include "map.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

/* FNV-1a: short keys, no adversary. */
static uint64_t hash_string(const char *s)
{
    uint64_t h = 14695981039346656037ULL;

    for (; *s != '\0'; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211ULL;
    return h ^ (h >> 32);
}

static struct map_slot *find_slot(const struct map *m, const char *key, uint64_t hash)
{
    size_t i = (size_t)hash & (m->cap - 1);

    while (m->slots[i].key != NULL) {
        if (m->slots[i].hash == hash && strcmp(m->slots[i].key, key) == 0)
            break;
        i = (i + 1) & (m->cap - 1);
    }
    return &m->slots[i];
}

void *map_get(const struct map *m, const char *key)
{
    if (m->count == 0)
        return NULL;
    return find_slot(m, key, hash_string(key))->value;
}

static void grow(struct map *m)
{
    struct map bigger = {.cap = m->cap == 0 ? 64 : m->cap * 2, .count = m->count};

    bigger.slots = text_alloc_zeroed(bigger.cap * sizeof(*bigger.slots));
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].key != NULL)
            *find_slot(&bigger, m->slots[i].key, m->slots[i].hash) = m->slots[i];
    }
    free(m->slots);
    *m = bigger;
}

void map_put(struct map *m, const char *key, void *value)
{
    uint64_t hash = hash_string(key);
    struct map_slot *slot;

    if (m->count + 1 > m->cap - m->cap / 4)
        grow(m);
    slot = find_slot(m, key, hash);
    if (slot->key == NULL) {
        slot->key = key;
        slot->hash = hash;
        m->count++;
    }
    slot->value = value;
}

void map_each(const struct map *m, void (*visit)(const char *key, void *value, void *arg),
              void *arg)
{
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].key != NULL)
            visit(m->slots[i].key, m->slots[i].value, arg);
    }
}

void map_release(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}
