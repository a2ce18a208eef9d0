#include "rng.h"

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

void rng_init_random(struct rng *r)
{
    if (getrandom(&r->state, sizeof(r->state), 0) != (ssize_t)sizeof(r->state))
        r->state = (uint64_t)time(NULL) * 1000003U + (uint64_t)getpid();
}

uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += 0x9E3779B97F4A7C15ULL);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

double rng_fraction(struct rng *r)
{
    return (double)(rng_next(r) >> 11) / 9007199254740992.0;
}

void rng_hex32(struct rng *r, char out[33])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t value = 0;

    for (int i = 0; i < 32; i++) {
        if (i % 16 == 0)
            value = rng_next(r);
        out[i] = digits[value & 15];
        value >>= 4;
    }
    out[32] = '\0';
}
