/* The control API under /_sim/: JSON in and out, no authentication. Described in README.md. */
#ifndef SIM_CONTROL_H
#define SIM_CONTROL_H

#include <stdbool.h>

#include "http_server.h"
#include "twilio_api.h"

/* Whether a path belongs to the control API. */
bool control_owns(const char *path);
/* Answers the exchange at once. */
void control_handle(struct http_exchange *ex, struct twilio_api *api,
                    const struct http_server *server);

#endif
