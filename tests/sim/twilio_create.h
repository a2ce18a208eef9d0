/* Create Message: judges a form as Twilio would, and makes the message. */
#ifndef SIM_TWILIO_CREATE_H
#define SIM_TWILIO_CREATE_H

#include "form.h"
#include "opt_outs.h"
#include "render.h"
#include "store.h"

enum { TWILIO_MAX_MEDIA = 10, TWILIO_MAX_BODY = 1600 };

/* Checks the form and stores the message it asks for. Returns the message (the store's), or NULL
 * and the reason. Of several reasons the first counts: missing parts, then To, From, opt-outs,
 * body, media, the rest. */
struct message *twilio_create(struct store *store, const struct opt_outs *opt_outs,
                              const char *account, const struct form *form,
                              struct twilio_error *ret_error);

#endif
