/*
 * Preloaded before libfaketime. librdkafka waits with cnd_timedwait(), which libfaketime does not know, until a
 * moment that it takes from timespec_get(), which libfaketime fakes: a wait of a second would last an hour, or none.
 * Here the latter tells the truth, and nobody else asks it.
 */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int timespec_get(struct timespec *now, int base)
{
    return base == TIME_UTC && syscall(SYS_clock_gettime, CLOCK_REALTIME, now) == 0 ? base : 0;
}
