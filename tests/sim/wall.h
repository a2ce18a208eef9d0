/* The time of day as the simulator has it: the machine's, shifted by as much as a test asks for.
 * What Twilio says of itself (Date, date_created, date_updated) comes from here; arrivals don't. */
#ifndef SIM_WALL_H
#define SIM_WALL_H

#include <stdint.h>

struct wall {
    int64_t offset; /* nanoseconds; positive: ahead of the machine */
};

enum { WALL_HTTP_DATE_SIZE = 32 };

/* Nanoseconds since 1970. */
int64_t wall_now(const struct wall *w);
/* The same as HTTP writes it (RFC 9110, IMF-fixdate), such as "Sun, 06 Nov 1994 08:49:37 GMT". */
void wall_http_date(const struct wall *w, char out[WALL_HTTP_DATE_SIZE]);

#endif
