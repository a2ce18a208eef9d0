/* What Twilio itself does with a request: checks who asks, acts on the store, and words the reply.
 * No faults here. */
#ifndef SIM_TWILIO_RESOURCE_H
#define SIM_TWILIO_RESOURCE_H

#include "opt_outs.h"
#include "store.h"
#include "text.h"
#include "twilio_auth.h"
#include "twilio_request.h"

struct reply {
    int status;
    const char *content_type; /* borrowed; NULL: none */
    struct text headers;      /* further header lines with their CRLF */
    struct text body;
    struct message *created; /* the store's; NULL unless one was created. Valid until a reset */
};

/* What there is to act on; all borrowed. */
struct twilio {
    struct store *store;
    struct twilio_auth *auth;
    struct opt_outs *opt_outs;
};

/* Carries the request out. The reply must be zeroed; release it with reply_release. */
void twilio_resource_handle(struct reply *reply, const struct twilio_request *r,
                            const struct twilio *twilio);
/* Makes an error the reply, in place of whatever it was. `created` stays. */
void reply_set_error(struct reply *reply, const struct twilio_error *e, enum render_format format);
void reply_release(struct reply *reply);

#endif
