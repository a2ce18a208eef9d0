#include "worker/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/url.h"
#include "worker/sid.h"

/* Twilio names no limit; ours is that of media URLs, so that the request stays bounded. */
#define CALLBACK_MAX_BYTES  2048
#define VALIDITY_MAX        36000.0 /* seconds; ten hours */
#define VALIDITY_SHORT      5       /* Twilio recommends more */
#define MAX_PRICE_NO_EFFECT "2024-06-03"

struct rule;

/*
 * The value as it goes on the wire, owned by the caller; NULL if the rule is broken: `fault` (FAULT
 * bytes) then has a few words.
 */
typedef char *read_fn(const struct rule *rule, const json_t *value, char *fault);
#define FAULT 128

static char *broken(char *fault, const char *words)
{
    snprintf(fault, FAULT, "%s", words);
    return NULL;
}

static read_fn read_callback, read_sid, read_price, read_bool, read_period, read_word;

/* Every option; also the order in which they are sent. */
static const struct rule {
    const char *field, *name; /* ours, and Twilio's */
    read_fn *read;
    const char *expected;
    const char *words[2]; /* read_word(): what may be there */
} rules[OPTIONS_MAX] = {
    {"status_callback",
     "StatusCallback",
     read_callback,
     "an http(s) URL without an underscore in its host",
     {NULL}},
    {"application_sid", "ApplicationSid", read_sid, "AP and 32 letters or digits", {NULL}},
    {"max_price", "MaxPrice", read_price, "a number that is not negative", {NULL}},
    {"provide_feedback", "ProvideFeedback", read_bool, "true or false", {NULL}},
    {"validity_period",
     "ValidityPeriod",
     read_period,
     "a whole number of seconds from 1 to 36000",
     {NULL}},
    {"smart_encoded", "SmartEncoded", read_bool, "true or false", {NULL}},
    {"shorten_urls", "ShortenUrls", read_bool, "true or false", {NULL}},
    {"content_retention",
     "ContentRetention",
     read_word,
     "\"retain\" or \"discard\"",
     {"retain", "discard"}},
    {"address_retention",
     "AddressRetention",
     read_word,
     "\"retain\" or \"obfuscate\"",
     {"retain", "obfuscate"}},
    {"send_as_mms", "SendAsMms", read_bool, "true or false", {NULL}},
    {"risk_check", "RiskCheck", read_word, "\"enable\" or \"disable\"", {"enable", "disable"}},
};

static char *read_callback(const struct rule *rule, const json_t *value, char *fault)
{
    const char *url = json_string_value(value);
    char verdict[FAULT - 16];

    (void)rule;
    if (url == NULL)
        return broken(fault, "not a string");
    if (strlen(url) > CALLBACK_MAX_BYTES)
        return broken(fault, "the URL is longer than 2048 bytes");
    if (!url_callback(url, verdict, sizeof verdict)) {
        snprintf(fault, FAULT, "the URL %s", verdict);
        return NULL;
    }
    return mem_strdup(url);
}

static char *read_sid(const struct rule *rule, const json_t *value, char *fault)
{
    const char *text = json_string_value(value);

    (void)rule;
    if (text == NULL)
        return broken(fault, "not a string");
    return sid_valid(text, "AP") ? mem_strdup(text) : broken(fault, "not valid");
}

/* The shortest text that is this number, and not 0.10000000000000001. */
static char *number_text(double number)
{
    char text[32];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    return mem_strdup(text);
}

static char *read_price(const struct rule *rule, const json_t *value, char *fault)
{
    double number = json_number_value(value);

    (void)rule;
    if (!json_is_number(value))
        return broken(fault, "not a number");
    if (number < 0)
        return broken(fault, "not valid");
    return number_text(number > 0 ? number : 0); /* -0.0 is no price */
}

static char *read_bool(const struct rule *rule, const json_t *value, char *fault)
{
    (void)rule;
    if (!json_is_boolean(value))
        return broken(fault, "not a boolean");
    return mem_strdup(json_is_true(value) ? "true" : "false");
}

/* JSON does not tell 60 from 60.0. */
static char *read_period(const struct rule *rule, const json_t *value, char *fault)
{
    double seconds = json_number_value(value);

    (void)rule;
    if (!json_is_number(value))
        return broken(fault, "not a number");
    if (seconds < 1 || seconds > VALIDITY_MAX || (int)seconds != seconds)
        return broken(fault, "not valid");
    return mem_printf("%d", (int)seconds);
}

static char *read_word(const struct rule *rule, const json_t *value, char *fault)
{
    const char *text = json_string_value(value);

    if (text == NULL)
        return broken(fault, "not a string");
    if (strcmp(text, rule->words[0]) != 0 && strcmp(text, rule->words[1]) != 0)
        return broken(fault, "not valid");
    return mem_strdup(text);
}

bool options_has_field(const char *field)
{
    for (size_t i = 0; i < OPTIONS_MAX; i++) {
        if (strcmp(field, rules[i].field) == 0)
            return true;
    }
    return false;
}

static bool is_true(const struct options *options, const char *name)
{
    const char *value = options_value(options, name);

    return value != NULL && strcmp(value, "true") == 0;
}

bool options_parse(const json_t *config, struct options *ret_options, char *why, size_t why_size)
{
    char fault[FAULT];

    *ret_options = (struct options){.count = 0};
    for (size_t i = 0; i < OPTIONS_MAX; i++) {
        const json_t *value = json_member(config, rules[i].field);
        char *text;

        if (value == NULL)
            continue;
        text = rules[i].read(&rules[i], value, fault);
        if (text == NULL) {
            snprintf(why, why_size, "config.%s: %s, expected %s", rules[i].field, fault,
                     rules[i].expected);
            return false;
        }
        ret_options->list[ret_options->count++] =
            (struct twilio_option){.name = rules[i].name, .value = text};
    }
    /* The domain of short links belongs to a service. */
    if (is_true(ret_options, "ShortenUrls") &&
        json_member(config, "messaging_service_sid") == NULL) {
        snprintf(why, why_size,
                 "config.shorten_urls: true without a service, expected messaging_service_sid "
                 "beside it");
        return false;
    }
    return true;
}

/* A stand-in for Twilio on this machine is called back well; Twilio itself can't get here. */
static void warn_private(const char *callback, struct buf *out)
{
    char verdict[FAULT];

    if (!url_public(callback, verdict, sizeof verdict))
        buf_printf(out, "; config.status_callback: the URL %s, Twilio can't reach that", verdict);
}

void options_warn(const struct options *options, struct buf *out)
{
    const char *callback = options_value(options, "StatusCallback");
    const char *period = options_value(options, "ValidityPeriod");

    if (callback != NULL)
        warn_private(callback, out);
    if (callback != NULL && options_value(options, "ApplicationSid") != NULL)
        buf_add_string(out, "; config.application_sid: Twilio ignores it beside status_callback");
    if (options_value(options, "MaxPrice") != NULL)
        buf_add_string(out, "; config.max_price: obsolete, without effect at Twilio "
                            "since " MAX_PRICE_NO_EFFECT);
    if (period != NULL && strtol(period, NULL, 10) <= VALIDITY_SHORT)
        buf_add_string(out, "; config.validity_period: Twilio recommends more than 5 seconds");
}

const char *options_value(const struct options *options, const char *name)
{
    for (int i = 0; i < options->count; i++) {
        if (strcmp(options->list[i].name, name) == 0)
            return options->list[i].value;
    }
    return NULL;
}

void options_release(struct options *options)
{
    for (int i = 0; i < options->count; i++)
        free(options->list[i].value);
    *options = (struct options){.count = 0};
}
