#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stdint.h>

#include "buf.h"

/*
 * Numbers for Prometheus. A metric is a static object that its owner registers at start and
 * counts by itself; names carry their unit (https://prometheus.io/docs/practices/naming/).
 */
struct metric {
    const char *name;
    const char *type; /* "counter" or "gauge" */
    const char *help;
    const char *label; /* NULL, or `key="value"` */
    int64_t value;
    struct metric *next;
};

/* Makes a metric known, so that it is shown even at zero. Metrics of one name come in a row. */
void metrics_register(struct metric *metric);

/* Appends all registered metrics in the text exposition format 0.0.4. */
void metrics_write(struct buf *out);

#endif
