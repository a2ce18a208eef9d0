/* Records that producers write: what is accepted re-encodes to the same, what isn't says why. */
#include "worker/event.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "tests/fuzz/fuzz.h"
#include "worker/retry.h"

#define DAY (INT64_C(86400) * 1000000)

static void check_id(const char *id)
{
    must(id[0] != '\0' && fuzz_is_line(id, EVENT_ID_MAX * 4 + 1));
    must(strstr(id, "\xc2\x80") == NULL && strstr(id, "\xc2\x9f") == NULL);
}

static void check_policy(const json_t *json)
{
    struct retry_policy policy = {.attempts = 5};
    char why[200];
    int64_t pause, asked = 77;

    must(retry_policy_parse(json, &policy, why, sizeof why));
    must(policy.attempts >= 1 && policy.attempts <= RETRY_COUNT_MAX + 1);
    must(policy.base >= 0 && policy.base <= RETRY_INTERVAL_MAX * 1000);
    must(policy.range_count >= 0 && policy.range_count <= RETRY_STATUS_RANGES);
    for (int i = 0; i < policy.range_count; i++)
        must(policy.ranges[i].from >= 100 && policy.ranges[i].from <= policy.ranges[i].to &&
             policy.ranges[i].to <= 599);
    must(!retry_decide(&policy, policy.attempts, 429, 0, &pause));
    for (int64_t spent = 1; spent < policy.attempts; spent++) {
        must(retry_decide(&policy, spent, 0, asked, &pause));
        must(pause >= asked && pause <= DAY);
    }
    if (policy.attempts > 1 && policy.range_count > 0) {
        must(retry_decide(&policy, 1, policy.ranges[0].to, 0, &pause));
        must(pause == policy.base);
    }
}

static void check_again(const struct event *event)
{
    char *text = fuzz_json_text(event->json), *second;
    struct event_rejection rejection;
    struct event again;

    must(event_parse(text, strlen(text), &again, &rejection));
    must(strcmp(again.event_id, event->event_id) == 0);
    must(strcmp(again.destination_id, event->destination_id) == 0);
    must((again.connection_id == NULL) == (event->connection_id == NULL));
    second = fuzz_json_text(again.json);
    must(strcmp(text, second) == 0);
    event_release(&again);
    free(text);
    free(second);
}

/* Values and depth, by walking through what jansson read. */
static size_t count_of(const json_t *value, size_t *ret_depth)
{
    size_t count = 1, deepest = 0, depth, i;
    json_t *child;
    const char *key;

    json_array_foreach((json_t *)value, i, child)
    {
        count += count_of(child, &depth);
        deepest = depth > deepest ? depth : deepest;
    }
    json_object_foreach((json_t *)value, key, child)
    {
        count += count_of(child, &depth);
        deepest = depth > deepest ? depth : deepest;
    }
    *ret_depth = deepest + (json_is_array(value) || json_is_object(value) ? 1 : 0);
    return count;
}

/* Of what is JSON the count without parsing is right; of the rest it only must come to an end. */
static void check_count(const char *bytes, size_t length)
{
    json_t *value =
        json_loadb(bytes, length, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    size_t depth, expected_depth;
    size_t count = json_count(bytes, length, &depth);

    must(count >= 1 && count <= length + 1 && depth <= length);
    if (value != NULL) {
        must(count_of(value, &expected_depth) == count);
        must(depth == expected_depth);
    }
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_exact((const char *)data, size);
    struct event_rejection rejection = {.reason = NULL};
    struct event event;

    check_count(bytes, size);
    if (event_parse(bytes, size, &event, &rejection)) {
        must(fuzz_is_utf8(bytes, size));
        must(json_is_object(event.json) && event.event_id != NULL && event.destination_id != NULL);
        check_again(&event);
        if (json_is_object(json_object_get(event.json, "retry")))
            check_policy(json_object_get(event.json, "retry"));
    } else {
        must(fuzz_is_reason(rejection.reason));
        must(fuzz_is_line(rejection.detail, sizeof rejection.detail));
        for (const char *c = rejection.detail; *c != '\0'; c++)
            must((unsigned char)*c < 0x7f); /* ours alone: the input is never repeated */
    }
    /* What could be read of a rejected event is as good. */
    if (event.event_id != NULL)
        check_id(event.event_id);
    if (event.destination_id != NULL)
        check_id(event.destination_id);
    if (event.connection_id != NULL)
        check_id(event.connection_id);
    event_release(&event);
    free(bytes);
    return 0;
}
