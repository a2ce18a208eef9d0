/* What Twilio itself does with a request: checks who asks, acts on the store, and words the reply.
 * No faults here. */
#ifndef SIM_TWILIO_RESOURCE_H
#define SIM_TWILIO_RESOURCE_H

#include "store.h"
#include "text.h"
#include "twilio_auth.h"
#include "twilio_request.h"

struct reply {
    int status;
    const char *content_type; /* borrowed; NULL: none */
    struct text headers;      /* further header lines with their CRLF */
    struct text body;
    const struct message
        *created; /* the store's; NULL unless a message was created. Valid until a reset */
};

/* Carries the request out. The reply must be zeroed; release it with reply_release. */
void twilio_resource_handle(struct reply *reply, const struct twilio_request *r,
                            struct store *store, const struct twilio_auth *auth);
/* Makes an error the reply, in place of whatever it was. `created` stays. */
void reply_set_error(struct reply *reply, const struct twilio_error *e, enum render_format format);
void reply_release(struct reply *reply);

#endif
