#ifndef WORKER_CALLBACK_FORM_H
#define WORKER_CALLBACK_FORM_H

#include "common/form.h"
#include "worker/attempt_id.h"
#include "worker/status.h"

/*
 * What a status callback says, from its parameters (Twilio's page "Outbound message status";
 * "occasionally adds new properties without advance notice"). Without I/O.
 */

/*
 * NULL if the parameters can be a status callback's: AccountSid (AC and 32 letters or digits),
 * MessageSid (MM or SM and 32 hexadecimal digits) and MessageStatus (1 to 31 printable characters),
 * each of them once. Otherwise why not, static.
 */
const char *callback_form_fault(const struct form *form);

/*
 * The status, of a form without a fault; the id's text becomes the status's. Names that we don't
 * know are kept in `parameters`, in order, each name once, as far as 8 KiB go.
 */
struct status *callback_form_status(const struct form *form, struct attempt_id *id);

#endif
