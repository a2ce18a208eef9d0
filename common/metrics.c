#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPDATES_MAX 16

static struct metric *first;

static struct {
    void (*update)(void *arg);
    void *arg;
} updates[UPDATES_MAX];
static int update_count;

void histogram_observe(struct histogram *histogram, int64_t us)
{
    size_t bucket = 0;

    if (us < 0)
        us = 0;
    while (histogram->bounds[bucket] != 0 && us > histogram->bounds[bucket])
        bucket++;
    histogram->buckets[bucket]++;
    histogram->sum += us;
}

void metrics_register(struct metric *metric)
{
    struct metric **place = &first;
    bool met = false;

    while (*place != NULL) {
        bool same = strcmp((*place)->name, metric->name) == 0;

        if (met && !same)
            break;
        met = met || same;
        place = &(*place)->next;
    }
    metric->next = *place;
    *place = metric;
}

void metrics_register_all(struct metric *metrics, size_t count)
{
    for (size_t i = 0; i < count; i++)
        metrics_register(&metrics[i]);
}

void metrics_on_write(void (*update)(void *arg), void *arg)
{
    if (update_count == UPDATES_MAX)
        abort(); /* a mistake in this program, not in its input */
    updates[update_count].update = update;
    updates[update_count++].arg = arg;
}

/* Backslashes, line feeds, and in a label's value quotes. */
static void add_escaped(struct buf *out, const char *text, bool quoted)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            buf_add_string(out, "\\n");
        else if (*text == '\\' || (quoted && *text == '"'))
            buf_printf(out, "\\%c", *text);
        else
            buf_add_char(out, *text);
    }
}

/* `le`: a histogram's further label; NULL: none. */
static void add_labels(struct buf *out, const struct metric *metric, const char *le)
{
    char before = '{';

    for (int i = 0; metric->labels[i] != NULL; i += 2) {
        buf_printf(out, "%c%s=\"", before, metric->labels[i]);
        add_escaped(out, metric->labels[i + 1], true);
        buf_add_char(out, '"');
        before = ',';
    }
    if (le != NULL) {
        buf_printf(out, "%cle=\"%s\"", before, le);
        before = ',';
    }
    if (before == ',')
        buf_add_char(out, '}');
}

static void format_seconds(int64_t us, char text[32])
{
    snprintf(text, 32, "%.15g", (double)us / 1e6);
}

static void add_value(struct buf *out, const struct metric *metric)
{
    char text[32];

    buf_add_string(out, metric->name);
    add_labels(out, metric, NULL);
    if (metric->micros)
        format_seconds(metric->value, text);
    else
        snprintf(text, sizeof text, "%" PRId64, metric->value);
    buf_printf(out, " %s\n", text);
}

static void add_histogram(struct buf *out, const struct metric *metric)
{
    const struct histogram *histogram = metric->histogram;
    uint64_t count = 0;
    char text[32];
    size_t i = 0;

    do {
        bool last = histogram->bounds[i] == 0;

        count += histogram->buckets[i];
        format_seconds(histogram->bounds[i], text);
        buf_printf(out, "%s_bucket", metric->name);
        add_labels(out, metric, last ? "+Inf" : text);
        buf_printf(out, " %" PRIu64 "\n", count);
    } while (histogram->bounds[i++] != 0);
    format_seconds(histogram->sum, text);
    buf_printf(out, "%s_sum", metric->name);
    add_labels(out, metric, NULL);
    buf_printf(out, " %s\n%s_count", text, metric->name);
    add_labels(out, metric, NULL);
    buf_printf(out, " %" PRIu64 "\n", count);
}

void metrics_write(struct buf *out)
{
    const char *previous = "";

    for (int i = 0; i < update_count; i++)
        updates[i].update(updates[i].arg);
    for (const struct metric *m = first; m != NULL; m = m->next) {
        if (m->absent)
            continue;
        if (strcmp(previous, m->name) != 0) {
            buf_printf(out, "# HELP %s ", m->name);
            add_escaped(out, m->help, false);
            buf_printf(out, "\n# TYPE %s %s\n", m->name, m->type);
        }
        previous = m->name;
        if (m->histogram != NULL)
            add_histogram(out, m);
        else
            add_value(out, m);
    }
}

void metrics_reset(void)
{
    first = NULL;
    update_count = 0;
}
