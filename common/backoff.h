#ifndef COMMON_BACKOFF_H
#define COMMON_BACKOFF_H

#include <stdint.h>

/* `base` doubled `times` times, at most `max`; never overflows. All in the same unit. */
int64_t backoff_exponential(int64_t base, int64_t max, unsigned times);

/* A random value in 0..limit, both included ("full jitter"). */
int64_t backoff_jitter(int64_t limit);

#endif
