#ifndef WORKER_VITALS_H
#define WORKER_VITALS_H

#include <stddef.h>
#include <stdio.h>

#include "common/pg.h"

/*
 * What the program is and what it uses: build info, the process, its connections to PostgreSQL.
 */

/* The versions of the program and its libraries, a line each. */
void vitals_print_versions(FILE *out);

/* Registers these metrics, once for a process. */
void vitals_open(void);

/*
 * Counts the connections that `pg` makes under `role`, which is static. To be told of each
 * connection before metrics are written first; the connections must stay until metrics_reset().
 */
void vitals_add_connection(const struct pg *pg, const char *role);

#endif
