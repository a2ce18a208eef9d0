#include "gaps.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "form.h"
#include "map.h"

static const int64_t SLOT_NS = 1000000000;

struct group {
    char *key;
    int64_t *times;
    size_t count, cap;
};

struct report {
    struct text *out;
    bool first;
};

static void group_add(struct map *groups, const char *key, int64_t time)
{
    struct group *g = map_get(groups, key);

    if (g == NULL) {
        g = text_alloc_zeroed(sizeof(*g));
        g->key = text_copy(key);
        map_put(groups, g->key, g);
    }
    if (g->count == g->cap) {
        g->cap = g->cap == 0 ? 4 : g->cap * 2;
        g->times = text_realloc(g->times, g->cap * sizeof(int64_t));
    }
    g->times[g->count++] = time;
}

static bool is_create(const struct log_entry *e)
{
    const char *last = strrchr(e->data + e->path_at, '/');

    return strcmp(e->data, "POST") == 0 && last != NULL &&
           (strcmp(last, "/Messages.json") == 0 || strcmp(last, "/Messages") == 0);
}

static void add_entry(struct map *groups, const struct log_entry *e, enum gaps_key key)
{
    struct form form;
    const char *value;

    if (!is_create(e))
        return;
    if (key == GAPS_BY_ACCOUNT) {
        group_add(groups, e->data + e->account_at, e->arrived_at);
        return;
    }
    form_parse(&form, e->data + e->body_at, e->body_len);
    value = form_get(&form, key == GAPS_BY_TO ? "To" : "From");
    group_add(groups, value == NULL ? "" : value, e->arrived_at);
    form_release(&form);
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void report_group(const char *key, void *value, void *arg)
{
    struct report *report = arg;
    struct group *g = value;
    int64_t shortest = INT64_MAX;
    size_t early = 0;

    /* The log is in order of the requests' ends, the times are those of their beginnings. */
    qsort(g->times, g->count, sizeof(int64_t), compare_times);
    for (size_t i = 1; i < g->count; i++) {
        int64_t gap = g->times[i] - g->times[i - 1];

        if (gap < shortest)
            shortest = gap;
        early += gap < SLOT_NS;
    }
    if (!report->first)
        text_add_char(report->out, ',');
    report->first = false;
    text_add_json(report->out, key);
    text_addf(report->out, ":{\"count\":%zu,\"min_gap_ms\":", g->count);
    if (g->count > 1) /* rounded down, so that an early gap never reads 1000.000 */
        text_addf(report->out, "%" PRId64 ".%03" PRId64, shortest / 1000000,
                  shortest / 1000 % 1000);
    else
        text_add_string(report->out, "null");
    text_addf(report->out, ",\"early\":%zu}", early);
    free(g->times);
    free(g->key);
    free(g);
}

void gaps_report(const struct requests_log *log, enum gaps_key key, struct text *out)
{
    struct map groups = {0};
    struct report report = {.out = out, .first = true};

    for (uint64_t n = requests_log_first(log); n < requests_log_end(log); n++)
        add_entry(&groups, requests_log_get(log, n), key);
    text_add_char(out, '{');
    map_each(&groups, report_group, &report);
    text_add_char(out, '}');
    map_release(&groups);
}
