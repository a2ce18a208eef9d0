#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * Numbers for Prometheus. A metric is a static object that its owner registers at start and
 * counts by itself, without a call or an allocation; names carry their unit, which is a base unit
 * (https://prometheus.io/docs/practices/naming/).
 */
#define METRIC_LABELS_MAX 8

struct histogram;

struct metric {
    const char *name;
    const char *type; /* "counter", "gauge" or "histogram" */
    const char *help; /* as name and type the same for all metrics of one name */
    const char *labels[2 * METRIC_LABELS_MAX + 1]; /* name, value, name, value …; not the last */
    int64_t value;
    bool micros; /* `value` is in microseconds; shown are seconds */
    bool absent; /* nobody knows its value now: not shown */
    struct histogram *histogram;
    struct metric *next;
};

#define HISTOGRAM_BUCKETS_MAX 16

/* How often how long: what a metric of type "histogram" points to. */
struct histogram {
    int64_t bounds[HISTOGRAM_BUCKETS_MAX + 1];   /* microseconds, inclusive; ends with a 0 */
    uint64_t buckets[HISTOGRAM_BUCKETS_MAX + 1]; /* each by itself; what is above all bounds last */
    int64_t sum;                                 /* microseconds */
};

/* Counts one duration; what is below 0 counts as 0. */
void histogram_observe(struct histogram *histogram, int64_t us);

/*
 * Makes a metric known, so that it is shown even at zero: behind those that have its name, if there
 * are any.
 */
void metrics_register(struct metric *metric);
void metrics_register_all(struct metric *metrics, size_t count);

/* Called before metrics are written, for those whose value has to be looked up. */
void metrics_on_write(void (*update)(void *arg), void *arg);

/* Appends all registered metrics in the text exposition format 0.0.4. */
void metrics_write(struct buf *out);

/* Forgets all that is registered. */
void metrics_reset(void);

#endif
