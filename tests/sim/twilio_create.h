/* Create Message: judges a form as Twilio would, and makes the message. */
#ifndef SIM_TWILIO_CREATE_H
#define SIM_TWILIO_CREATE_H

#include "form.h"
#include "render.h"
#include "store.h"

enum { TWILIO_MAX_MEDIA = 10, TWILIO_MAX_BODY = 1600 };

/* Checks the form and stores the message it asks for. Returns the message (the store's), or NULL
 * and the reason. Of several reasons the first counts: missing parts, then To, From, body, media,
 * the rest. */
const struct message *twilio_create(struct store *store, const char *account,
                                    const struct form *form, struct twilio_error *ret_error);

#endif
