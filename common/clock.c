#include "clock.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * How fast two clocks may drift apart. NTP slews by at most 500 ppm; two machines' oscillators
 * differ by some tens. 100 ppm widens a sample by 1 ms in ten seconds, by when there is a new one.
 */
#define DRIFT_PPM 100

static int64_t read_clock(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * CLOCK_SECOND + now.tv_nsec / 1000;
}

int64_t clock_now(void)
{
    /* Goes on while the machine is suspended: a slot, or a lease, may be over when it wakes up. */
    return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

char *clock_format(int64_t unix_us, char text[CLOCK_TEXT_SIZE])
{
    int64_t fraction = (unix_us % CLOCK_SECOND + CLOCK_SECOND) % CLOCK_SECOND;
    time_t seconds = (time_t)(unix_us / CLOCK_SECOND - (unix_us % CLOCK_SECOND < 0));
    struct tm tm;
    size_t length;

    gmtime_r(&seconds, &tm);
    length = strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + length, CLOCK_TEXT_SIZE - length, ".%06dZ", (int)fraction);
    return text;
}

/* Reads exactly `count` digits that make a number in low..high. */
static bool take_number(const char **text, int count, int low, int high)
{
    int value = 0;

    for (int i = 0; i < count; i++) {
        if (**text < '0' || **text > '9')
            return false;
        value = value * 10 + (*(*text)++ - '0');
    }
    return value >= low && value <= high;
}

static bool take_char(const char **text, const char *any_of)
{
    if (**text == '\0' || strchr(any_of, **text) == NULL)
        return false;
    (*text)++;
    return true;
}

static bool take_zone(const char **text)
{
    if (take_char(text, "Zz"))
        return true;
    return take_char(text, "+-") && take_number(text, 2, 0, 23) && take_char(text, ":") &&
           take_number(text, 2, 0, 59);
}

/* Whether the month has such a day; `date` begins with digits as in "2026-11-22". */
static bool day_exists(const char *date)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    long year = strtol(date, NULL, 10), month = strtol(date + 5, NULL, 10);
    long day = strtol(date + 8, NULL, 10);
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return day <= days[month - 1] + (leap && month == 2);
}

bool clock_is_rfc3339(const char *text)
{
    const char *date = text;

    if (!take_number(&text, 4, 0, 9999) || !take_char(&text, "-") ||
        !take_number(&text, 2, 1, 12) || !take_char(&text, "-") || !take_number(&text, 2, 1, 31) ||
        !take_char(&text, "Tt ") || !take_number(&text, 2, 0, 23) || !take_char(&text, ":") ||
        !take_number(&text, 2, 0, 59) || !take_char(&text, ":") || !take_number(&text, 2, 0, 60) ||
        !day_exists(date))
        return false;
    if (take_char(&text, ".")) {
        if (!take_number(&text, 1, 0, 9))
            return false;
        while (take_number(&text, 1, 0, 9))
            ;
    }
    return take_zone(&text) && *text == '\0';
}

#define YEAR_10000 INT64_C(253402300800) /* seconds */

int64_t clock_parse_date(const char *text)
{
    time_t seconds = text != NULL ? curl_getdate(text, NULL) : -1;

    return seconds > 0 && seconds < YEAR_10000 ? (int64_t)seconds * CLOCK_SECOND : 0;
}

/* How far the clocks may have drifted apart over an interval, rounded up. */
static int64_t drift(int64_t interval)
{
    return llabs(interval) * DRIFT_PPM / 1000000 + 1;
}

void db_clock_sample(struct db_clock *clock, int64_t stamp, int64_t sent, int64_t received)
{
    struct db_clock sample = {.stamp = stamp, .sent = sent, .received = received};
    int64_t width;

    if (db_clock_known(clock)) {
        /* The new sample's bounds at `received`, against what we thought. */
        sample.stepped =
            stamp > db_clock_latest(clock, received) ||
            stamp + (received - sent) + drift(received - sent) < db_clock_earliest(clock, received);
        width = clock->received - clock->sent + 2 * drift(received - clock->received);
        if (!sample.stepped && received - sent > width) {
            clock->stepped = false;
            return;
        }
    }
    *clock = sample;
}

bool db_clock_known(const struct db_clock *clock)
{
    return clock->received != 0;
}

int64_t db_clock_earliest(const struct db_clock *clock, int64_t at)
{
    return clock->stamp + (at - clock->received) - drift(at - clock->received);
}

int64_t db_clock_latest(const struct db_clock *clock, int64_t at)
{
    return clock->stamp + (at - clock->sent) + drift(at - clock->sent);
}

int64_t db_clock_when(const struct db_clock *clock, int64_t stamp)
{
    int64_t ahead = stamp - clock->stamp;

    /* The database may be slow: it needs `ahead` / (1 - drift) on our clock. */
    return clock->received + ahead + llabs(ahead) * DRIFT_PPM / (1000000 - DRIFT_PPM) + 1;
}

int64_t db_clock_before(const struct db_clock *clock, int64_t stamp)
{
    int64_t ahead = stamp - clock->stamp;

    return clock->sent + ahead - llabs(ahead) * DRIFT_PPM / 1000000 - 1;
}
