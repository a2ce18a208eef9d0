#include "worker/attempt_log.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/log.h"

void attempt_log_without_urls(const char *text, char *out, size_t size)
{
    size_t length = 0;

    out[0] = '\0';
    while (*text != '\0' && length + 1 < size) {
        size_t plain = 1;

        if (strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0) {
            length += (size_t)snprintf(out + length, size - length, "(URL)");
            text += strcspn(text, " \t\r\n\"'<>");
            continue;
        }
        while (text[plain] != '\0' && text[plain] != 'h' && text[plain] != 'H')
            plain++;
        length += (size_t)snprintf(out + length, size - length, "%.*s", (int)plain, text);
        text += plain;
    }
}

/* A moment of the database's clock; 0: there is none. */
static struct log_field log_time(const char *name, int64_t at, char text[CLOCK_TEXT_SIZE])
{
    return log_str(name, at != 0 ? clock_format(at, text) : NULL);
}

static struct log_field log_if(bool is, const char *name, int64_t value)
{
    struct log_field field = log_int(name, value);

    if (!is)
        field.kind = LOG_FIELD_LEFT_OUT;
    return field;
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

void attempt_log(const struct delivery *delivery, const struct http_response *response)
{
    const struct verdict *v = &delivery->verdict;
    bool started = delivery->started_at != 0;
    bool answered = response != NULL && response->status != 0 && response->started != 0;
    char slot[CLOCK_TEXT_SIZE], finished[CLOCK_TEXT_SIZE], next[CLOCK_TEXT_SIZE];
    char parked[CLOCK_TEXT_SIZE], error[sizeof v->error_message];

    if (!log_enabled(LOG_INFO))
        return;
    attempt_log_without_urls(v->error_message, error, sizeof error);
    log_info("attempt", log_str("event_id", delivery->event_id),
             log_str("destination_id", delivery->destination_id),
             log_int("attempt", delivery->attempt), log_str("outcome", outcome_name(v->outcome)),
             log_str("reason", v->reason), log_int_or_none("http_status", v->http_status),
             log_int_or_none("error_code", v->error_code),
             log_str("message_sid", or_null(v->message_sid)), log_str("error", or_null(error)),
             log_time("slot_at", delivery->slot_at, slot),
             log_time("finished_at", delivery->finished_at, finished),
             log_if(started, "lateness_ms", (delivery->started_at - delivery->slot_at) / CLOCK_MS),
             log_if(answered, "latency_ms",
                    answered ? (response->finished - response->started) / CLOCK_MS : 0),
             log_str("state", delivery->state),
             log_time("next_attempt_at", delivery->next_attempt_at, next),
             log_time("parked_until", delivery->parked_until, parked));
}
