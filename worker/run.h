#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include "worker/secret.h"
#include "worker/settings.h"

/*
 * Wires the worker's rooms together and runs them until SIGTERM or SIGINT, then finishes what is
 * in flight, within a bound. Returns the exit status: 0 after a clean stop, 1 if the run failed.
 */
int run_worker(const struct settings *settings, const struct secrets *secrets);

#endif
