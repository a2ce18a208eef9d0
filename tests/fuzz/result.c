/* Results: whatever an attempt says, they are JSON by the schema, and say the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "worker/outcome.h"
#include "worker/result_json.h"

#define RESULT_MAX_BYTES ((size_t)64 << 10) /* as worker/results.c has it */
#define ID_MAX_BYTES     ((size_t)255 * 4)
#define YEAR_10000       (INT64_C(253402300800) * CLOCK_SECOND)

/* Members in their order, and what they may be: s(tring), i(nteger), b(oolean), n(ull). */
static const struct {
    const char *name, *types;
} members[] = {
    {"schema", "s"},           {"result_id", "s"},       {"kind", "s"},
    {"event_id", "sn"},        {"destination_id", "sn"}, {"connection_id", "sn"},
    {"attempt", "in"},         {"outcome", "s"},         {"final", "b"},
    {"reason", "sn"},          {"http_status", "in"},    {"message_sid", "sn"},
    {"message_status", "sn"},  {"error_code", "in"},     {"error_message", "sn"},
    {"next_attempt_at", "sn"}, {"worker", "s"},          {"at", "s"},
};

static char type_of(const json_t *value)
{
    if (json_is_string(value))
        return 's';
    if (json_is_integer(value))
        return 'i';
    return json_is_boolean(value) ? 'b' : json_is_null(value) ? 'n' : '?';
}

static void check_members(const json_t *json)
{
    const json_t *value;
    const char *name;
    size_t i = 0;

    json_object_foreach((json_t *)json, name, value)
    {
        must(i < sizeof members / sizeof members[0] && strcmp(name, members[i].name) == 0);
        must(strchr(members[i].types, type_of(value)) != NULL);
        i++;
    }
    must(i == sizeof members / sizeof members[0]);
}

static void check_text(const json_t *json, const char *name, const char *text)
{
    const char *found = json_string_value(json_object_get(json, name));

    if (text == NULL || text[0] == '\0')
        must(found == NULL);
    else
        must(found != NULL && strcmp(found, text) == 0);
}

static void check_result(const struct result *r)
{
    struct buf out;
    json_t *json;

    buf_init(&out, RESULT_MAX_BYTES);
    result_json_write(r, &out);
    must(!out.overflow && memchr(out.data, '\n', out.length) == NULL);
    json = json_loadb(out.data, out.length, JSON_REJECT_DUPLICATES, NULL);
    must(json_is_object(json));
    check_members(json);
    must(fuzz_matches("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
                      json_string_value(json_object_get(json, "result_id"))));
    must(clock_is_rfc3339(json_string_value(json_object_get(json, "at"))));
    must(r->next_attempt_at == 0 ||
         clock_is_rfc3339(json_string_value(json_object_get(json, "next_attempt_at"))));
    check_text(json, "event_id", r->event_id);
    check_text(json, "destination_id", r->destination_id);
    check_text(json, "connection_id", r->connection_id);
    check_text(json, "reason", r->reason);
    check_text(json, "message_status", r->message_status);
    check_text(json, "error_message", r->error_message);
    json_decref(json);
    buf_release(&out);
}

/* Text as it comes from the other rooms: valid UTF-8, so long at most. */
static char *clean(const struct fuzz_input *input, int i, size_t max)
{
    struct buf out;

    buf_init(&out, max);
    if (i < input->count)
        utf8_clean(&out, input->pieces[i], input->lengths[i]);
    return buf_detach(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"attempt", "rejection", "status"};
    struct fuzz_input input;
    char *texts[6];
    long number;

    fuzz_split(data, size, &input);
    number = atol(fuzz_text(&input, 0));
    for (int i = 0; i < 6; i++)
        texts[i] = clean(&input, i + 1, i < 4 ? ID_MAX_BYTES : 511);
    check_result(&(struct result){
        .result_id = (const unsigned char *)"0123456789abcdef",
        .kind = kinds[labs(number % 3)],
        .event_id = texts[0],
        .destination_id = texts[1],
        .connection_id = texts[2],
        .attempt = (int)labs(number % 100000),
        .outcome = outcome_name((enum outcome)labs(number % 5)),
        .final = number % 2 == 0,
        .reason = input.count > 5 ? "REQUEST_REFUSED" : NULL,
        .http_status = (int)labs(number % 600),
        .message_sid = NULL,
        .message_status = texts[4],
        .error_code = (int)labs(number % 1000000),
        .error_message = texts[5],
        .next_attempt_at = labs(number % YEAR_10000),
        .worker = texts[3][0] != '\0' ? texts[3] : "w",
        .at = labs(number % (YEAR_10000 - 1)) + 1,
    });
    for (int i = 0; i < 6; i++)
        free(texts[i]);
    fuzz_release(&input);
    return 0;
}
