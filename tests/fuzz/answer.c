/* Twilio's answers to a create: "surely not sent" is only said when that is sure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/outcome.h"
#include "worker/verdicts.h"

#define NOW  INT64_C(1780000000)
#define HOUR (INT64_C(3600) * 1000000)

/* "answered 201", "broken 0", "not-sent 0" and what else stands in a first piece. */
static void read_head(const char *head, struct http_response *response)
{
    response->result = strncmp(head, "answered", 8) == 0 ? HTTP_ANSWERED
                       : strncmp(head, "broken", 6) == 0 ? HTTP_BROKEN
                                                         : HTTP_NOT_SENT;
    response->error = strstr(head, "timed out") != NULL ? "timed out" : "the connection was lost";
    response->status = atoi(head + strcspn(head, "0123456789")) % 1000;
    if (response->result == HTTP_NOT_SENT)
        response->status = 0;
}

/* Nothing may be sent again, or given up, if Twilio may have it. */
static void check_safety(const struct http_response *response, const struct verdict *v)
{
    int status = response->status;

    if (v->outcome == OUTCOME_ACCEPTED) {
        must(response->result == HTTP_ANSWERED && status >= 200 && status <= 299);
        must(fuzz_matches("^(MM|SM)[0-9a-fA-F]{32}$", v->message_sid));
        must(v->reason == NULL && v->advice == NULL);
        return;
    }
    must(v->message_sid[0] == '\0' && v->message_status[0] == '\0');
    must(fuzz_is_reason(v->reason) && fuzz_is_line(v->advice, VERDICTS_ADVICE_MAX + 1));
    if (v->outcome == OUTCOME_RETRY || v->outcome == OUTCOME_FAILED)
        must(response->result == HTTP_NOT_SENT || (status >= 300 && status <= 499));
    else
        must(v->outcome == OUTCOME_UNKNOWN && response->result != HTTP_NOT_SENT);
    must(response->result != HTTP_NOT_SENT || v->outcome == OUTCOME_RETRY);
}

static void check_verdict(const struct http_response *response, const struct verdict *v)
{
    check_safety(response, v);
    must(v->http_status == response->status);
    must(v->error_code >= 0 && v->error_code < 1000000);
    must(fuzz_is_utf8(v->error_message, strnlen(v->error_message, sizeof v->error_message)));
    must(strnlen(v->error_message, sizeof v->error_message) < sizeof v->error_message);
    must(v->reason == NULL || v->error_message[0] != '\0');
    must(v->message_status[0] == '\0' || fuzz_is_line(v->message_status, sizeof v->message_status));
    must(v->retry_after >= 0 && v->retry_after <= HOUR);
}

/* The same JSON in other letters is the same answer. */
static void check_again(struct http_response response, const struct verdict *v)
{
    json_t *body = json_loadb(response.body, response.body_length,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    struct verdict again;
    char *text;

    if (body == NULL)
        return;
    text = json_dumps(body, JSON_INDENT(1) | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    response.body = text;
    response.body_length = strlen(text);
    outcome_judge(&response, NOW, &again);
    must(again.outcome == v->outcome && again.reason == v->reason && again.scope == v->scope);
    must(again.error_code == v->error_code && strcmp(again.message_sid, v->message_sid) == 0);
    must(strcmp(again.error_message, v->error_message) == 0);
    free(text);
    json_decref(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_response response = {.header_count = 0};
    struct verdict verdict;
    struct fuzz_input input;

    fuzz_split(data, size, &input);
    read_head(fuzz_text(&input, 0), &response);
    if (fuzz_text(&input, 1)[0] != '\0') {
        response.headers[0].name = "retry-after";
        snprintf(response.headers[0].value, sizeof response.headers[0].value, "%s",
                 fuzz_text(&input, 1));
        response.header_count = 1;
    }
    response.body_length = input.count > 2 ? input.lengths[2] : 0;
    response.body = fuzz_text(&input, 2);
    outcome_judge(&response, NOW, &verdict);
    check_verdict(&response, &verdict);
    check_again(response, &verdict);
    fuzz_release(&input);
    return 0;
}
