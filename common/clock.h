#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Time, always in microseconds.
 *
 * The worker's own time is monotonic; it measures intervals and arms timers. Moments that others
 * see (slots, evidence) are the database's clock, in microseconds since 1970. A `struct db_clock`
 * translates between the two and says how far off it may be, so that the pace is exact whatever
 * the workers' own clocks say.
 */

#define CLOCK_SECOND  INT64_C(1000000)
#define CLOCK_MS      INT64_C(1000)
#define CLOCK_FOREVER INT64_MAX

/* Monotonic now. */
int64_t clock_now(void);

/* The machine's wall clock: for log lines, and where no database is at hand. */
int64_t clock_wall(void);

#define CLOCK_TEXT_SIZE 32

/* "2026-11-22T07:48:29.123456Z" into `text`, which it returns. */
char *clock_format(int64_t unix_us, char text[CLOCK_TEXT_SIZE]);

/*
 * The moment that "Fri, 24 May 2019 17:44:46 +0000" and its kin name (RFC 9110, RFC 5322); 0 if
 * `text` (may be NULL) names none, or one beyond the year 9999.
 */
int64_t clock_parse_date(const char *text);

/* True if `text` is an RFC 3339 date-time, such as 2026-11-22T07:48:29Z or …29.5+02:00. */
bool clock_is_rfc3339(const char *text);

/*
 * What one round trip tells: the database said `stamp` at some moment between `sent` and
 * `received` on our clock. All that follows from it is a pair of bounds.
 */
struct db_clock {
    int64_t stamp;
    int64_t sent;
    int64_t received; /* 0: nothing known yet */
    bool stepped; /* the last sample contradicted the ones before: the database's clock jumped */
};

/*
 * Takes in a sample. It replaces the present one if it is tighter than what the present one has
 * become by ageing, or if it contradicts it (then `stepped` is set).
 */
void db_clock_sample(struct db_clock *clock, int64_t stamp, int64_t sent, int64_t received);

bool db_clock_known(const struct db_clock *clock);

/* The database's clock at our moment `at` is not earlier than … and not later than …. */
int64_t db_clock_earliest(const struct db_clock *clock, int64_t at);
int64_t db_clock_latest(const struct db_clock *clock, int64_t at);

/* Our first moment at which the database's clock has surely reached `stamp`. */
int64_t db_clock_when(const struct db_clock *clock, int64_t stamp);

/* Our last moment at which the database's clock has surely not passed `stamp`. */
int64_t db_clock_before(const struct db_clock *clock, int64_t stamp);

#endif
