/* Pseudo-random numbers: splitmix64. One state for chance (can be seeded), another for SIDs. */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state;
};

/* A state that no other run has. */
void rng_init_random(struct rng *r);
uint64_t rng_next(struct rng *r);
/* Evenly spread in [0, 1). */
double rng_fraction(struct rng *r);
/* Writes 32 lowercase hex digits and a NUL. */
void rng_hex32(struct rng *r, char out[33]);

#endif
