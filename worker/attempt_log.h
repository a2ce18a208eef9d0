#ifndef WORKER_ATTEMPT_LOG_H
#define WORKER_ATTEMPT_LOG_H

#include "common/http.h"
#include "worker/delivery.h"

/*
 * The log line of an attempt that has been settled: ids, outcome, times; never what the message
 * says or shows. `response` is NULL if no request was made.
 */
void attempt_log(const struct delivery *delivery, const struct http_response *response);

/*
 * Copies a text without the URLs in it: Twilio's words about a message may name its media, whose
 * URLs often open what they name.
 */
void attempt_log_without_urls(const char *text, char *out, size_t size);

#endif
