#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Settings from the environment. One table says name, type, default, bounds and meaning; it drives
 * parsing, --help and what is shown at start. An unset or empty variable has its default.
 */
enum config_type {
    CONFIG_STRING,   /* char *, owned by the settings */
    CONFIG_INTEGER,  /* int64_t */
    CONFIG_DURATION, /* int64_t, microseconds; "35s", "250ms", "5m", "1h", "2d", "0" */
    CONFIG_BOOL,     /* bool; true/false, yes/no, on/off, 1/0 */
    CONFIG_CHOICE    /* char *, one of `choices` */
};

struct config_setting {
    const char *name;
    enum config_type type;
    size_t offset;            /* where in the caller's struct the value goes */
    const char *default_text; /* NULL: the setting is required */
    const char *help;
    int64_t min, max;    /* for integers and durations (microseconds) */
    const char *choices; /* for choices: "debug|info" */
    bool secret;         /* never shown */
};

/* A pair from a family of names that is passed on as it stands (librdkafka's properties). */
struct config_pair {
    char *name;
    char *value;
};

struct config_pairs {
    struct config_pair *pairs;
    size_t count;
};

/*
 * Reads every variable of `environment` whose name starts with `prefix` into `settings`.
 * Names that start with `family` and are not in the table go to `ret_pairs`, lower case, '_' as '.'
 * (MMS_KAFKA_SECURITY_PROTOCOL: security.protocol). Any other unknown name is an error.
 * False on the first error, of which `error` has one line: the name, its value (unless secret) and
 * what was expected. Release with config_release() in either case.
 */
bool config_load(const struct config_setting *table, size_t count, const char *prefix,
                 const char *family, char *const *environment, void *settings,
                 struct config_pairs *ret_pairs, char *error, size_t error_size);

void config_release(const struct config_setting *table, size_t count, void *settings,
                    struct config_pairs *pairs);

/* The table as text for --help. */
void config_help(const struct config_setting *table, size_t count, FILE *out);

/* True if a property of this name holds a secret (passwords, keys, tokens). */
bool config_name_is_secret(const char *name);

/* "35s" and the like to microseconds; false if `text` is not a duration. */
bool config_parse_duration(const char *text, int64_t *ret_us);

/* Parses true, yes, on, 1, or false, no, off, 0. */
bool config_parse_bool(const char *text, bool *ret_value);

/*
 * The next element of a comma list, owned; NULL at its end. `list` moves on behind it. Blanks
 * around an element are skipped, empty elements are none.
 */
char *config_next(const char **list);

#endif
