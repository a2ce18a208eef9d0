#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * One line on stderr for each thing worth saying: JSON for machines, text for people.
 * A function either logs or returns its error, never both; the line is written where the decision
 * is made, and says what happens next.
 *
 * A value may be any bytes: what isn't UTF-8 becomes U+FFFD, and the line stays one line.
 * Phone numbers are masked, whoever names them, but in ids (fields whose names end with _id or
 * _sid), where digits are no phone number. Of a flood of equal warnings or errors (the message
 * counts, not the fields) the first are written, and then how many there were (common/flood.h).
 *
 *     log_info("destination parked", log_str("destination_id", id), log_int("seconds", 20));
 */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_kind { LOG_FIELD_NONE, LOG_FIELD_STRING, LOG_FIELD_INTEGER, LOG_FIELD_LEFT_OUT };

struct log_field {
    const char *name;
    enum log_kind kind;
    const char *string; /* borrowed; NULL leaves the field out */
    int64_t integer;
};

static inline struct log_field log_str(const char *name, const char *value)
{
    return (struct log_field){.name = name, .kind = LOG_FIELD_STRING, .string = value};
}

static inline struct log_field log_int(const char *name, int64_t value)
{
    return (struct log_field){.name = name, .kind = LOG_FIELD_INTEGER, .integer = value};
}

/* An integer that is left out when it is 0, which then means that there is none. */
static inline struct log_field log_int_or_none(const char *name, int64_t value)
{
    return (struct log_field){.name = name,
                              .kind = value != 0 ? LOG_FIELD_INTEGER : LOG_FIELD_LEFT_OUT,
                              .integer = value};
}

/* Lines below `level` are dropped; `text` chooses text instead of JSON. Before this: info, text. */
void log_configure(enum log_level level, bool text);

/* "debug", "info", "warn", "error" into `ret_level`; false if it is none of these. */
bool log_level_parse(const char *name, enum log_level *ret_level);

bool log_enabled(enum log_level level);

/* Phone numbers are written as they are. */
void log_show_phone_numbers(void);

/*
 * Writes the counts of what was held back whose time has come, or of all; to be called at the end,
 * and when log_held_until() says so.
 */
void log_write_held(bool all);

/* When that is to be done (monotonic); CLOCK_FOREVER: nothing is held back. */
int64_t log_held_until(void);

/* `held` is called when something is held back while nothing was. */
void log_on_held(void (*held)(void *arg), void *arg);

/* Writes one line; `fields` ends with a field of kind LOG_FIELD_NONE. */
void log_write(enum log_level level, const char *message, const struct log_field *fields);

/*
 * A warning of a condition whose words the caller bounds (said.h): if it is `news` it is written,
 * however many there are; otherwise it is a line for debugging.
 */
void log_write_news(bool news, const char *message, const struct log_field *fields);

#define LOG_END                \
    (struct log_field)         \
    {                          \
        .kind = LOG_FIELD_NONE \
    }
#define log_debug(...) log_variadic(LOG_DEBUG, __VA_ARGS__, LOG_END)
#define log_info(...)  log_variadic(LOG_INFO, __VA_ARGS__, LOG_END)
#define log_warn(...)  log_variadic(LOG_WARN, __VA_ARGS__, LOG_END)
#define log_error(...) log_variadic(LOG_ERROR, __VA_ARGS__, LOG_END)
#define log_news(news, message, ...) \
    log_write_news(news, message, (const struct log_field[]){__VA_ARGS__, LOG_END})
#define log_variadic(level, message, ...) \
    log_write(level, message, (const struct log_field[]){__VA_ARGS__})

#endif
