/*
 * A hash map from C strings to pointers. Keys are borrowed: they must stay where they are for as
 * long as the map holds them (they usually live inside the value). Entries cannot be taken out one
 * by one.
 */
#ifndef SIM_MAP_H
#define SIM_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_slot {
    const char *key; /* NULL: free */
    void *value;
    uint64_t hash;
};

struct map {
    struct map_slot *slots; /* NULL while empty; a zeroed struct is an empty map */
    size_t cap;             /* a power of two, never more than three quarters full */
    size_t count;
};

/* The value of `key`, or NULL. */
void *map_get(const struct map *m, const char *key);
/* Sets the value; replaces the value (and keeps the old key) if the key is there already. */
void map_put(struct map *m, const char *key, void *value);
/* Calls `visit` for every entry, in no particular order; `visit` may free key and value. */
void map_each(const struct map *m, void (*visit)(const char *key, void *value, void *arg),
              void *arg);
/* Frees the map itself, not keys or values; it is empty and usable afterwards. */
void map_release(struct map *m);

#endif
