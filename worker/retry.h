#ifndef WORKER_RETRY_H
#define WORKER_RETRY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* When a delivery that may be tried again is tried again: the connection's policy or the default.
 */

#define RETRY_STATUS_RANGES 16
/* Limits of an event's policy: they keep a typing error from filling the history. */
#define RETRY_COUNT_MAX    100
#define RETRY_INTERVAL_MAX INT64_C(86400000) /* milliseconds: a day */

struct retry_policy {
    int64_t attempts; /* in all, the first included */
    int64_t base;     /* microseconds: the first pause */
    int64_t max;      /* microseconds: no pause is longer */
    bool linear;      /* every pause is `base`; otherwise it doubles */
    bool jitter;      /* a random part of the pause instead of all of it */
    int range_count;  /* 0: any HTTP status may be retried */
    struct {
        int from, to;
    } ranges[RETRY_STATUS_RANGES];
};

/*
 * Parses an event's `retry`; NULL (absent) leaves `policy` alone and succeeds. False if it is not
 * valid: `why` then has one line that names the field.
 */
bool retry_policy_parse(const json_t *retry, struct retry_policy *policy, char *why,
                        size_t why_size);

/*
 * True if an attempt that ended with `http_status` (0: no answer came) may be followed by another
 * after `spent` attempts, this one included. *ret_pause is then the pause in microseconds, at least
 * `retry_after` (what the peer asked for, 0 if nothing).
 */
bool retry_decide(const struct retry_policy *policy, int64_t spent, int http_status,
                  int64_t retry_after, int64_t *ret_pause);

#endif
