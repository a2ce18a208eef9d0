#include "worker/outcome.h"

#include <ctype.h>
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/utf8.h"
#include "worker/verdicts.h"

#define RETRY_AFTER_MAX (3600 * CLOCK_SECOND)

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[] = {"accepted", "retry", "failed", "unknown", "expired"};

    return names[outcome];
}

static void set_message(struct verdict *verdict, const char *text)
{
    struct buf clean;

    buf_init(&clean, sizeof verdict->error_message - 1);
    utf8_clean(&clean, text, strlen(text));
    snprintf(verdict->error_message, sizeof verdict->error_message, "%s",
             clean.data != NULL ? clean.data : "");
    buf_release(&clean);
}

static void decide(struct verdict *verdict, enum outcome outcome, enum scope scope,
                   const char *reason, const char *message)
{
    verdict->outcome = outcome;
    verdict->scope = scope;
    verdict->reason = reason;
    verdict->advice = reason != NULL ? verdicts_advice(reason) : NULL;
    if (verdict->error_message[0] == '\0' && message != NULL)
        set_message(verdict, message);
}

/* MM for MMS, SM where it became an SMS. */
bool outcome_is_message_sid(const char *text)
{
    size_t length = strlen(text);

    if (length != 34 || (strncmp(text, "MM", 2) != 0 && strncmp(text, "SM", 2) != 0))
        return false;
    for (size_t i = 2; i < length; i++) {
        if (!isxdigit((unsigned char)text[i]))
            return false;
    }
    return true;
}

bool outcome_is_message_status(const char *text)
{
    return strlen(text) < sizeof((struct verdict *)0)->message_status && !utf8_has_control(text);
}

/* What Twilio's error body says, if it is one. */
static void read_error(const json_t *answer, struct verdict *verdict)
{
    const json_t *code = json_object_get(answer, "code");
    const char *message = json_member_string(answer, "message");

    if (json_is_integer(code) && json_integer_value(code) > 0 && json_integer_value(code) < 1000000)
        verdict->error_code = (int)json_integer_value(code);
    if (message != NULL)
        set_message(verdict, message);
}

static void judge_success(const json_t *answer, struct verdict *verdict)
{
    const char *sid = json_member_string(answer, "sid");
    const char *status = json_member_string(answer, "status");

    if (sid == NULL || !outcome_is_message_sid(sid)) {
        decide(verdict, OUTCOME_UNKNOWN, SCOPE_MESSAGE, "ANSWER_UNREADABLE",
               "Twilio's answer says success, but has no readable message SID");
        return;
    }
    snprintf(verdict->message_sid, sizeof verdict->message_sid, "%s", sid);
    if (status != NULL && outcome_is_message_status(status))
        snprintf(verdict->message_status, sizeof verdict->message_status, "%s", status);
    decide(verdict, OUTCOME_ACCEPTED, SCOPE_MESSAGE, NULL, NULL);
}

static void judge_code(const struct verdict_rule *rule, struct verdict *verdict)
{
    decide(verdict, rule->outcome, rule->scope, rule->reason, rule->reason);
    verdict->advice = rule->advice;
    verdict->busy = rule->busy;
    verdict->varies = rule->varies;
    verdict->no_mms = rule->no_mms;
}

/* Codes are added without notice; the HTTP status decides about those that we don't know. */
static void judge_status(int status, struct verdict *verdict)
{
    switch (status) {
    case 401:
    case 403:
        decide(verdict, OUTCOME_RETRY, SCOPE_ACCOUNT, "AUTHENTICATION_FAILED",
               "the credentials were refused");
        return;
    case 404:
        decide(verdict, OUTCOME_RETRY, SCOPE_DESTINATION, "ACCOUNT_NOT_FOUND",
               "the account's address was not found");
        return;
    case 407:
    case 451:
        decide(verdict, OUTCOME_RETRY, SCOPE_DESTINATION, "ACCESS_DENIED", "access was denied");
        return;
    case 408:
        decide(verdict, OUTCOME_UNKNOWN, SCOPE_MESSAGE, "TIMEOUT", "the server timed out");
        return;
    case 425:
        decide(verdict, OUTCOME_RETRY, SCOPE_MESSAGE, "TOO_MANY_REQUESTS", "too early");
        return;
    case 429:
        decide(verdict, OUTCOME_RETRY, SCOPE_ACCOUNT, "TOO_MANY_REQUESTS", "too many requests");
        verdict->busy = true;
        return;
    default:
        break;
    }
    if (status >= 500)
        decide(verdict, OUTCOME_UNKNOWN, SCOPE_MESSAGE, "SERVER_ERROR",
               "the server failed; the message may have been sent");
    else if (status >= 400)
        decide(verdict, OUTCOME_FAILED, SCOPE_MESSAGE, "REQUEST_REFUSED",
               "the request was refused");
    else if (status >= 300)
        decide(verdict, OUTCOME_RETRY, SCOPE_DESTINATION, "REDIRECTED",
               "the answer was a redirect, which is never followed; check MMS_TWILIO_BASE_URL");
    else
        decide(verdict, OUTCOME_UNKNOWN, SCOPE_MESSAGE, "ANSWER_UNREADABLE",
               "the answer could not be read");
}

/* Whether a status can say by itself that nothing was taken. */
static bool is_refusal(int status)
{
    return status >= 300 && status < 500;
}

static void judge_answer(const struct http_response *response, struct verdict *verdict)
{
    const struct verdict_rule *rule;
    json_t *answer = NULL;

    json_parse(response->body, response->body_length, &answer, NULL, 0);
    if (response->status >= 200 && response->status < 300) {
        judge_success(answer, verdict);
    } else {
        read_error(answer, verdict);
        /* The code first: 21611 is a 429 like 20429, and means something else. */
        rule = verdicts_of_code(verdict->error_code);
        /* A gateway's 5xx is not "not processed", whatever its body may look like. */
        if (rule != NULL && (is_refusal(response->status) || rule->outcome == OUTCOME_UNKNOWN))
            judge_code(rule, verdict);
        else
            judge_status(response->status, verdict);
    }
    json_decref(answer);
}

static void judge_broken(const struct http_response *response, struct verdict *verdict)
{
    if (response->status >= 200 && response->status < 300)
        decide(verdict, OUTCOME_UNKNOWN, SCOPE_MESSAGE, "ANSWER_CUT", response->error);
    else if (response->status >= 400 && response->status < 500)
        judge_answer(response, verdict); /* the status line alone says that it was refused */
    else if (strstr(response->error, "timed out") != NULL)
        decide(verdict, OUTCOME_UNKNOWN, SCOPE_MESSAGE, "TIMEOUT", response->error);
    else
        decide(verdict, OUTCOME_UNKNOWN, SCOPE_MESSAGE, "CONNECTION_LOST", response->error);
}

/* Seconds or an HTTP date (RFC 9110, 10.2.3). */
static int64_t read_retry_after(const char *text, int64_t now_unix)
{
    char *end;
    long long seconds;

    if (text == NULL)
        return 0;
    seconds = strtoll(text, &end, 10);
    if (end == text || *end != '\0') {
        time_t date = curl_getdate(text, NULL);

        seconds = date < 0 ? 0 : (long long)date - now_unix;
    }
    if (seconds <= 0)
        return 0;
    return seconds > RETRY_AFTER_MAX / CLOCK_SECOND ? RETRY_AFTER_MAX : seconds * CLOCK_SECOND;
}

void outcome_judge(const struct http_response *response, int64_t now_unix,
                   struct verdict *ret_verdict)
{
    struct verdict *verdict = ret_verdict;

    *verdict = (struct verdict){.http_status = response->status};
    verdict->retry_after = read_retry_after(http_header_value(response, "retry-after"), now_unix);
    switch (response->result) {
    case HTTP_NOT_SENT:
        /* Nothing that an event should pay for out of its retries, or its destination at all. */
        decide(verdict, OUTCOME_RETRY, SCOPE_WORKER,
               response->distrusted ? "CERTIFICATE_REFUSED" : "NOT_CONNECTED", response->error);
        break;
    case HTTP_ANSWERED:
        judge_answer(response, verdict);
        break;
    case HTTP_BROKEN:
        judge_broken(response, verdict);
        break;
    }
}

void outcome_refuse(struct verdict *ret_verdict, enum outcome outcome, enum scope scope,
                    const char *reason, const char *message)
{
    *ret_verdict = (struct verdict){.http_status = 0};
    decide(ret_verdict, outcome, scope, reason, message);
}
