#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "mem.h"

struct reader {
    const struct config_setting *table;
    size_t count;
    void *settings;
    char *error;
    size_t error_size;
};

static void *field(const struct config_setting *setting, void *settings)
{
    return (char *)settings + setting->offset;
}

static bool is_text(const struct config_setting *setting)
{
    return setting->type == CONFIG_STRING || setting->type == CONFIG_CHOICE;
}

bool config_parse_duration(const char *text, int64_t *ret_us)
{
    static const struct {
        const char *suffix;
        int64_t us;
    } units[] = {{"ms", CLOCK_MS},
                 {"s", CLOCK_SECOND},
                 {"m", 60 * CLOCK_SECOND},
                 {"h", 3600 * CLOCK_SECOND},
                 {"d", 86400 * CLOCK_SECOND}};
    char *end;
    long long value;

    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno != 0)
        return false;
    if (value == 0 && *end == '\0') {
        *ret_us = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].suffix) == 0)
            return !__builtin_mul_overflow((int64_t)value, units[i].us, ret_us);
    }
    return false;
}

static bool parse_integer(const char *text, int64_t *ret_value)
{
    char *end;

    errno = 0;
    *ret_value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && !isspace((unsigned char)text[0]);
}

bool config_parse_bool(const char *text, bool *ret_value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *ret_value = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);

    while (*choices != '\0') {
        size_t word = strcspn(choices, "|");

        if (word == length && strncmp(choices, text, word) == 0)
            return true;
        choices += word + (choices[word] == '|');
    }
    return false;
}

/* Sets `text`; on failure `expected` gets what would have been right. */
static bool set_value(const struct config_setting *setting, void *where, const char *text,
                      char *expected, size_t size)
{
    int64_t *number = where;

    switch (setting->type) {
    case CONFIG_BOOL:
        snprintf(expected, size, "true or false");
        return config_parse_bool(text, where);
    case CONFIG_CHOICE:
        snprintf(expected, size, "one of %s", setting->choices);
        if (!is_choice(setting->choices, text))
            return false;
        break;
    case CONFIG_INTEGER:
        snprintf(expected, size, "a whole number from %lld to %lld", (long long)setting->min,
                 (long long)setting->max);
        return parse_integer(text, number) && *number >= setting->min && *number <= setting->max;
    case CONFIG_DURATION:
        snprintf(expected, size, "a duration from %.15gs to %.15gs, such as 500ms, 35s, 5m or 1h",
                 (double)setting->min / CLOCK_SECOND, (double)setting->max / CLOCK_SECOND);
        return config_parse_duration(text, number) && *number >= setting->min &&
               *number <= setting->max;
    case CONFIG_STRING:
        break;
    }
    free(*(char **)where);
    *(char **)where = mem_strdup(text);
    return true;
}

static bool read_setting(const struct reader *reader, const struct config_setting *setting,
                         const char *text)
{
    char expected[160];

    if (set_value(setting, field(setting, reader->settings), text, expected, sizeof expected))
        return true;
    snprintf(reader->error, reader->error_size, "%s: '%.200s' is not valid, expected %s",
             setting->name, setting->secret ? "***" : text, expected);
    for (char *c = reader->error; *c != '\0'; c++) {
        if (iscntrl((unsigned char)*c))
            *c = '?'; /* one line, whatever the value is */
    }
    return false;
}

static const char *value_in(char *const *environment, const char *name)
{
    size_t length = strlen(name);

    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    }
    return "";
}

static void add_pair(struct config_pairs *pairs, const char *name, size_t length, const char *value)
{
    struct config_pair *pair;

    pairs->pairs = mem_realloc(pairs->pairs, (pairs->count + 1) * sizeof *pairs->pairs);
    pair = &pairs->pairs[pairs->count++];
    pair->name = mem_copy(name, length);
    pair->value = mem_strdup(value);
    for (char *c = pair->name; *c != '\0'; c++)
        *c = (char)(*c == '_' ? '.' : tolower((unsigned char)*c));
}

static bool known(const struct reader *reader, const char *name, size_t length)
{
    for (size_t i = 0; i < reader->count; i++) {
        if (strlen(reader->table[i].name) == length &&
            strncmp(reader->table[i].name, name, length) == 0)
            return true;
    }
    return false;
}

/* Looks at names: those of the family are kept, unknown ones are an error. */
static bool read_names(const struct reader *reader, const char *prefix, const char *family,
                       char *const *environment, struct config_pairs *pairs)
{
    for (; *environment != NULL; environment++) {
        const char *name = *environment;
        size_t length = strcspn(name, "=");

        if (strncmp(name, prefix, strlen(prefix)) != 0 || known(reader, name, length))
            continue;
        if (strncmp(name, family, strlen(family)) != 0 || length == strlen(family)) {
            snprintf(reader->error, reader->error_size,
                     "%.*s: no such setting ('mms-worker help run' lists them)",
                     (int)(length < 200 ? length : 200), name);
            return false;
        }
        if (name[length] == '=' && name[length + 1] != '\0')
            add_pair(pairs, name + strlen(family), length - strlen(family), name + length + 1);
    }
    return true;
}

bool config_load(const struct config_setting *table, size_t count, const char *prefix,
                 const char *family, char *const *environment, void *settings,
                 struct config_pairs *ret_pairs, char *error, size_t error_size)
{
    struct reader reader = {table, count, settings, error, error_size};

    *ret_pairs = (struct config_pairs){NULL, 0};
    if (!read_names(&reader, prefix, family, environment, ret_pairs))
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *text = value_in(environment, table[i].name);

        if (text[0] == '\0' && table[i].default_text == NULL) {
            snprintf(error, error_size, "%s: required, but not set", table[i].name);
            return false;
        }
        if (!read_setting(&reader, &table[i], text[0] != '\0' ? text : table[i].default_text))
            return false;
    }
    return true;
}

void config_release(const struct config_setting *table, size_t count, void *settings,
                    struct config_pairs *pairs)
{
    for (size_t i = 0; i < count; i++) {
        char **text = field(&table[i], settings);

        if (!is_text(&table[i]))
            continue;
        if (*text != NULL)
            mem_wipe(*text, strlen(*text));
        free(*text);
        *text = NULL;
    }
    for (size_t i = 0; i < pairs->count; i++) {
        mem_wipe(pairs->pairs[i].value, strlen(pairs->pairs[i].value));
        free(pairs->pairs[i].name);
        free(pairs->pairs[i].value);
    }
    free(pairs->pairs);
    *pairs = (struct config_pairs){NULL, 0};
}

void config_help(const struct config_setting *table, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        const char *standard = table[i].default_text;

        fprintf(out, "  %s", table[i].name);
        if (standard == NULL)
            fprintf(out, "  (required)");
        else if (standard[0] != '\0')
            fprintf(out, "  (default %s)", standard);
        fprintf(out, "\n      %s", table[i].help);
        if (table[i].type == CONFIG_CHOICE)
            fprintf(out, " (%s)", table[i].choices);
        fprintf(out, "\n");
    }
}

bool config_name_is_secret(const char *name)
{
    static const char *const marks[] = {"password", "secret",      "pem",
                                        "token",    "oauthbearer", "jaas"};

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (strcasestr(name, marks[i]) != NULL)
            return true;
    }
    return false;
}

char *config_next(const char **list)
{
    const char *start;
    size_t length;

    *list += strspn(*list, ", ");
    start = *list;
    length = strcspn(start, ",");
    *list += length;
    while (length > 0 && start[length - 1] == ' ')
        length--;
    return length > 0 ? mem_copy(start, length) : NULL;
}
