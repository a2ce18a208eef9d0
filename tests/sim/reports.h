/* What the control API tells: the log, the messages, the rules, the counts, each as JSON. */
#ifndef SIM_REPORTS_H
#define SIM_REPORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "faults.h"
#include "http_server.h"
#include "requests_log.h"
#include "store.h"
#include "text.h"

/* An array of the entries with n > since, oldest first, at most `limit`. Returns whether there are
 * more. */
bool reports_requests(struct text *out, const struct requests_log *log, uint64_t since,
                      uint64_t limit);
/* An array of messages, oldest first, at most `limit`, with exactly this To and Body (NULL: any).
 * Each is Twilio's resource and "media_urls", "created_at" (seconds), and "sent_to" and
 * "sent_body", which is what a filter looks at: Twilio may have been told to hide them. Returns
 * whether there are more. */
bool reports_messages(struct text *out, const struct store *store, const char *to, const char *body,
                      uint64_t limit);
void reports_faults(struct text *out, const struct faults *faults);
/* `lives` and `callbacks`: how many are open. */
void reports_stats(struct text *out, const struct requests_log *log, const struct store *store,
                   const struct http_server *server, size_t lives, size_t callbacks);

#endif
