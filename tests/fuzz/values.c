/* Small values: durations, date-times, SIDs, against regular expressions and timegm(). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/config.h"
#include "tests/fuzz/fuzz.h"
#include "worker/sid.h"

#define DATE "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
#define TIME "([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\\.[0-9]+)?"
#define ZONE "([Zz]|[-+]([01][0-9]|2[0-3]):[0-5][0-9])"

static void check_duration(const char *text)
{
    static const struct {
        const char *unit;
        double us;
    } units[] = {{"ms", 1e3}, {"s", 1e6}, {"m", 6e7}, {"h", 3.6e9}, {"d", 8.64e10}};
    double expected = -1;
    int64_t us;

    if (!config_parse_duration(text, &us)) {
        must(!fuzz_matches("^(0+|[0-9]{1,7}(ms|s|m|h|d))$", text));
        return;
    }
    must(fuzz_matches("^(0+|[0-9]+(ms|s|m|h|d))$", text));
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + strspn(text, "0123456789"), units[i].unit) == 0)
            expected = strtod(text, NULL) * units[i].us;
    }
    expected = expected < 0 ? 0 : expected;
    must(us >= 0 && (double)us >= expected * 0.999999 && (double)us <= expected * 1.000001);
}

/* The day is there if nobody has to move it. */
static bool day_exists(const char *text)
{
    struct tm tm = {.tm_year = atoi(text) - 1900, .tm_mon = atoi(text + 5) - 1};

    tm.tm_mday = atoi(text + 8);
    timegm(&tm);
    return tm.tm_mday == atoi(text + 8);
}

static void check_moment(const char *text)
{
    bool valid = fuzz_matches("^" DATE "[Tt ]" TIME ZONE "$", text) && day_exists(text);

    must(clock_is_rfc3339(text) == valid);
}

static void check_date(const char *text)
{
    int64_t us = clock_parse_date(text);
    char written[CLOCK_TEXT_SIZE];

    must(us >= 0 && us % CLOCK_SECOND == 0);
    if (us > 0)
        must(clock_is_rfc3339(clock_format(us, written)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    const char *text;

    fuzz_split(data, size, &input);
    text = fuzz_text(&input, 0);
    check_duration(text);
    check_moment(text);
    check_date(text);
    must(sid_valid(text, "AC") == fuzz_matches("^AC[0-9A-Za-z]{32}$", text));
    fuzz_release(&input);
    return 0;
}
