#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

#include <stdatomic.h>
#include <stdbool.h>

/*
 * The limits that a worker works within, each measured without a worker: what the same SQL, the
 * same POSTs and the same topic could give to a program that does nothing else.
 */

/* Work of one process; runs until it is killed, and counts in `done` what it has finished. */
typedef void limits_work(const void *arg, int process, atomic_ullong *done);

struct limits_rounds {
    int processes;
    double warm_up; /* seconds before the first round */
    double seconds; /* of one round */
    int rounds;
};

/* Runs `work` in so many processes; the median of the rounds' rates, in units a second. Ends the
 * program with status 1 if a process ends early. */
double limits_measure(const struct limits_rounds *rounds, limits_work *work, const void *arg);

/* The middle one of `count` values, which are sorted by this. */
double limits_median(double *values, int count);

/* Ends the program with status 1 and a line on stderr. */
_Noreturn void limits_fail(const char *what, const char *why);

struct sql_limit {
    const char *conninfo;
    int destinations; /* des_00000, … are there */
    bool intake;      /* or else what is claimed is there already */
};
double sql_limit(const struct limits_rounds *rounds, const struct sql_limit *limit);

struct http_limit {
    const char *base_url;
    int connections; /* of each process */
};
double http_limit(const struct limits_rounds *rounds, const struct http_limit *limit);

struct kafka_limit {
    const char *bootstrap_servers;
    const char *topic; /* read from its beginning to its end, again and again */
};
double kafka_limit(const struct limits_rounds *rounds, const struct kafka_limit *limit);

#endif
