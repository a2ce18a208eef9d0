/* List Messages: filters and pages, newest first. */
#ifndef SIM_TWILIO_LIST_H
#define SIM_TWILIO_LIST_H

#include "form.h"
#include "render.h"
#include "store.h"

/* Appends the page that `query` asks for (To, From, DateSent, DateSent<, DateSent>, PageSize, Page,
 * PageToken). `path` is the path of the request, for the page URIs. A DateSent filter is compared
 * by day, and with the date of creation while a message is not sent. */
void twilio_list(struct text *out, const struct store *store, const char *account, const char *path,
                 const struct form *query, enum render_format format);

#endif
