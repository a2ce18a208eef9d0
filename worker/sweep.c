#include "worker/sweep.h"

#include "common/clock.h"

#define WHOLE_INTERVAL (60 * CLOCK_SECOND)
/* Sweeps come every few seconds, or later when the database is slow. */
#define LATELY (20 * CLOCK_SECOND)
/* A hundred years: a timestamp still has room for it. */
#define EVERYTHING (INT64_C(100) * 365 * 86400 * CLOCK_SECOND)

bool sweep_is_whole(struct sweep *sweep)
{
    if (clock_now() < sweep->whole_at)
        return false;
    sweep->whole_at = clock_now() + WHOLE_INTERVAL;
    return true;
}

int64_t sweep_reach(struct sweep *sweep)
{
    return sweep_is_whole(sweep) ? EVERYTHING : LATELY;
}
