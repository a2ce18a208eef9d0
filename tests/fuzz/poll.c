/* What Twilio says about one message: nothing about another one is believed. */
#include "worker/poll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/fuzz/fuzz.h"

#define SID "MM0123456789abcdef0123456789abcdef"

static void check_text(const char *text)
{
    must(text == NULL || fuzz_is_utf8(text, strlen(text)));
}

static void check_status(const struct status *s, const json_t *said)
{
    json_t *parameters = json_loads(s->parameters, JSON_REJECT_DUPLICATES, NULL), *value;
    const char *name;

    must(strcmp(json_string_value(json_object_get(said, "sid")), SID) == 0);
    must(strcmp(s->message_sid, SID) == 0);
    must(fuzz_is_line(s->name, sizeof s->name));
    must(strcmp(json_string_value(json_object_get(said, "status")), s->name) == 0);
    must(s->error_code >= 0 && s->error_code < 1000000);
    check_text(s->error_message);
    check_text(s->from);
    check_text(s->to);
    check_text(s->messaging_service_sid);
    must(json_is_object(parameters) && json_object_get(parameters, "body") == NULL);
    json_object_foreach(parameters, name, value)
    {
        must(json_equal(value, json_object_get(said, name)));
    }
    json_decref(parameters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_exact((const char *)data, size);
    json_t *said = json_loadb(bytes, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    struct status *status = mem_zalloc(sizeof *status);

    snprintf(status->message_sid, sizeof status->message_sid, SID);
    if (poll_read(bytes, size, status)) {
        must(said != NULL);
        check_status(status, said);
    } else {
        must(status->parameters == NULL && status->error_message == NULL && status->from == NULL);
    }
    status_free(status);
    json_decref(said);
    free(bytes);
    return 0;
}
