#include "backoff.h"

#include <stdlib.h>
#include <sys/random.h>

int64_t backoff_exponential(int64_t base, int64_t max, unsigned times)
{
    int64_t value = base < max ? base : max;

    while (times-- > 0 && value < max)
        value = value > max / 2 ? max : value * 2;
    return value;
}

int64_t backoff_jitter(int64_t limit)
{
    uint64_t bits;

    if (limit <= 0)
        return 0;
    if (getrandom(&bits, sizeof bits, 0) != (ssize_t)sizeof bits)
        bits = (uint64_t)random();
    return (int64_t)(bits % ((uint64_t)limit + 1));
}
