#include "worker/status.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/utf8.h"
#include "worker/limits.h"

/* Twilio gives no order of arrival: a later status may come before an earlier one. */
static const struct {
    const char *name;
    int rank;
    bool final;
} statuses[] = {
    {"accepted", 10, false}, {"scheduled", 10, false},  {"queued", 20, false},
    {"sending", 30, false},  {"sent", 40, false},       {"partially_delivered", 50, false},
    {"delivered", 60, true}, {"undelivered", 60, true}, {"failed", 60, true},
    {"canceled", 60, true},  {"read", 70, true},
};

/* It can't hold up a final status, and nothing else goes back behind it. */
#define UNKNOWN_RANK 55

int status_rank(const char *name)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (strcmp(statuses[i].name, name) == 0)
            return statuses[i].rank;
    }
    return UNKNOWN_RANK;
}

bool status_is_final(const char *name)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (strcmp(statuses[i].name, name) == 0)
            return statuses[i].final;
    }
    return false;
}

static void redact_text(char **text, const struct redactor *redactor)
{
    struct buf out;

    if (*text == NULL)
        return;
    buf_init(&out, SIZE_MAX);
    redact(redactor, *text, strlen(*text), &out);
    free(*text);
    *text = buf_detach(&out);
}

void status_redact(struct status *status, const struct redactor *redactor)
{
    redact_text(&status->error_message, redactor);
    redact_text(&status->from, redactor);
    redact_text(&status->to, redactor);
    redact_text(&status->messaging_service_sid, redactor);
    redact_text(&status->parameters, redactor);
}

char *status_text(const char *text)
{
    struct buf out;

    if (text == NULL || text[0] == '\0')
        return NULL;
    buf_init(&out, LIMIT_STATUS_TEXT_BYTES);
    utf8_clean(&out, text, strlen(text));
    return buf_detach(&out);
}

size_t status_bytes(const struct status *status)
{
    const char *const texts[] = {
        status->destination_id,        status->error_message, status->from, status->to,
        status->messaging_service_sid, status->parameters};
    size_t bytes = sizeof *status;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bytes += texts[i] != NULL ? strlen(texts[i]) : 0;
    return bytes;
}

void status_free(struct status *status)
{
    if (status == NULL)
        return;
    free(status->destination_id);
    free(status->error_message);
    free(status->from);
    free(status->to);
    free(status->messaging_service_sid);
    free(status->parameters);
    free(status->signers);
    free(status);
}
