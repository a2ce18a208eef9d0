#ifndef WORKER_PACE_H
#define WORKER_PACE_H

#include "common/clock.h"

/* The numbers of the pace, which the pacer and the sender share. */

/* Two sends to one destination never start closer together (rate_limit 1 per second). */
#define PACE_SPACING (1000 * CLOCK_MS)

/* How long before its slot a delivery may be claimed. */
#define PACE_LOOK_AHEAD (250 * CLOCK_MS)

/*
 * A send may start this long after its slot and not later: time to connect, or to be stopped for a
 * moment. Until its start is confirmed, the next slot is held back by as much (claim.sql).
 */
#define PACE_START_WINDOW (3000 * CLOCK_MS)

/* Kept between the last start that the sender allows itself and the end of the window. */
#define PACE_START_MARGIN (200 * CLOCK_MS)

#endif
