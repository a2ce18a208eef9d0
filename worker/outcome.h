#ifndef WORKER_OUTCOME_H
#define WORKER_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/http.h"

/* How an attempt ended: a closed set. */
enum outcome {
    OUTCOME_ACCEPTED, /* Twilio took it */
    OUTCOME_RETRY,    /* surely not sent, may be tried again */
    OUTCOME_FAILED,   /* surely not sent, and trying again is no use */
    OUTCOME_UNKNOWN,  /* it may have been sent; never sent again without asking Twilio */
    OUTCOME_EXPIRED   /* waited too long; not sent */
};

/* Whose trouble it is. */
enum scope {
    SCOPE_MESSAGE,     /* this message's: others may fare better */
    SCOPE_DESTINATION, /* the destination's: every message would end the same way: it is parked */
    SCOPE_ACCOUNT,     /* the Twilio account's: of its destinations each is parked that meets it */
    SCOPE_WORKER       /* this worker's: nothing that it sends would get there; others' may */
};

/* A verdict with what Twilio said. Text is valid UTF-8. */
struct verdict {
    enum outcome outcome;
    enum scope scope;
    const char *reason; /* static, UPPER_SNAKE; NULL if accepted */
    const char *advice; /* static: one sentence, what to do about it; NULL: nothing */
    bool busy;          /* of SCOPE_ACCOUNT: too much at a time; short pauses, and the event's own
                           retry policy counts it */
    bool varies;        /* of SCOPE_DESTINATION: perhaps for some recipients only */
    bool no_mms;        /* it can't be sent as MMS; as SMS it may (sms_fallback) */
    int http_status;    /* 0: no answer */
    int error_code;     /* Twilio's; 0: none */
    char error_message[512];
    char message_sid[40];
    char message_status[32];
    int64_t retry_after; /* microseconds that the peer asked for, 0 if it didn't; at most an hour */
};

/* "accepted", "retry", …: as tables and results have them. */
const char *outcome_name(enum outcome outcome);

/*
 * The one place where what the HTTP client reports becomes an outcome. `now_unix` is the wall clock
 * in seconds, for a Retry-After that is a date.
 */
void outcome_judge(const struct http_response *response, int64_t now_unix,
                   struct verdict *ret_verdict);

/* Whether Twilio's text is a message's id (two letters and 32 hexadecimal digits), or a status. */
bool outcome_is_message_sid(const char *text);
bool outcome_is_message_status(const char *text);

/* A verdict of our own, without a request. `reason` is static; its advice is verdicts_advice(). */
void outcome_refuse(struct verdict *ret_verdict, enum outcome outcome, enum scope scope,
                    const char *reason, const char *message);

#endif
