#include "worker/retry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/json.h"

/* An exponential policy of an event stops doubling here. */
#define POLICY_PAUSE_MAX (CLOCK_SECOND * 3600 * 24)

static bool wrong(char *why, size_t size, const char *field, const char *expected)
{
    snprintf(why, size, "retry%s%s: not valid, expected %s", field[0] != '\0' ? "." : "", field,
             expected);
    return false;
}

static bool take_integer(const json_t *retry, const char *name, int64_t max, int64_t *ret_value)
{
    const json_t *value = json_member(retry, name);

    if (value == NULL)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max)
        return false;
    *ret_value = json_integer_value(value);
    return true;
}

static bool parse_status(const char *text, char **ret_end, int *ret_status)
{
    long status = strtol(text, ret_end, 10);

    *ret_status = (int)status;
    return *ret_end == text + 3 && status >= 100 && status <= 599;
}

/* "429" or "500-599". */
static bool add_range(struct retry_policy *policy, const char *text)
{
    int from, to;
    char *end;

    if (policy->range_count == RETRY_STATUS_RANGES || !parse_status(text, &end, &from))
        return false;
    to = from;
    if (*end == '-' && !parse_status(end + 1, &end, &to))
        return false;
    if (*end != '\0' || to < from)
        return false;
    policy->ranges[policy->range_count].from = from;
    policy->ranges[policy->range_count++].to = to;
    return true;
}

static bool add_element(struct retry_policy *policy, const json_t *element)
{
    char number[16];

    if (json_is_string(element))
        return add_range(policy, json_string_value(element));
    if (!json_is_integer(element) || json_integer_value(element) < 100 ||
        json_integer_value(element) > 599)
        return false;
    snprintf(number, sizeof number, "%d", (int)json_integer_value(element));
    return add_range(policy, number);
}

static bool parse_statuses(const json_t *list, struct retry_policy *policy)
{
    const json_t *element;
    size_t i;

    policy->range_count = 0;
    if (list == NULL)
        return true;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return false;
    json_array_foreach((json_t *)list, i, element)
    {
        if (!add_element(policy, element))
            return false;
    }
    return true;
}

bool retry_policy_parse(const json_t *retry, struct retry_policy *policy, char *why,
                        size_t why_size)
{
    const json_t *strategy = json_member(retry, "strategy");
    int64_t count = 5, interval = 60000;

    if (retry == NULL)
        return true;
    if (!json_is_object(retry))
        return wrong(why, why_size, "", "an object");
    if (strategy != NULL &&
        (!json_is_string(strategy) || (strcmp(json_string_value(strategy), "linear") != 0 &&
                                       strcmp(json_string_value(strategy), "exponential") != 0)))
        return wrong(why, why_size, "strategy", "\"exponential\" or \"linear\"");
    if (!take_integer(retry, "count", RETRY_COUNT_MAX, &count))
        return wrong(why, why_size, "count", "a whole number from 0 to 100");
    if (!take_integer(retry, "interval", RETRY_INTERVAL_MAX, &interval))
        return wrong(why, why_size, "interval", "milliseconds, a whole number from 0 to 86400000");
    if (!parse_statuses(json_member(retry, "response_status_codes"), policy))
        return wrong(why, why_size, "response_status_codes",
                     "an array of 1 to 16 HTTP statuses or ranges such as \"429\", \"500-599\"");
    policy->attempts = count + 1;
    policy->base = interval * CLOCK_MS;
    policy->max = POLICY_PAUSE_MAX;
    policy->linear = strategy != NULL && strcmp(json_string_value(strategy), "linear") == 0;
    policy->jitter = false;
    return true;
}

static bool status_allowed(const struct retry_policy *policy, int status)
{
    /* No answer at all: the list is about answers, and nothing was sent. */
    if (policy->range_count == 0 || status == 0)
        return true;
    for (int i = 0; i < policy->range_count; i++) {
        if (status >= policy->ranges[i].from && status <= policy->ranges[i].to)
            return true;
    }
    return false;
}

bool retry_decide(const struct retry_policy *policy, int64_t spent, int http_status,
                  int64_t retry_after, int64_t *ret_pause)
{
    int64_t pause = policy->base;

    if (spent >= policy->attempts || !status_allowed(policy, http_status))
        return false;
    if (!policy->linear)
        pause =
            backoff_exponential(policy->base, policy->max, spent > 1 ? (unsigned)(spent - 1) : 0);
    if (policy->jitter)
        pause = backoff_jitter(pause);
    *ret_pause = pause > retry_after ? pause : retry_after;
    return true;
}
