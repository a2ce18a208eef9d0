#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "e164.h"
#include "flood.h"
#include "json.h"
#include "utf8.h"

/* A value is cut to this; a line has room for all of its fields. */
#define VALUE_MAX_BYTES 2048
#define LINE_MAX_BYTES  ((size_t)256 << 10)

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static enum log_level least_level = LOG_INFO;
static bool as_text = true;
static bool show_phone_numbers;
static struct flood flood;
static void (*on_held)(void *arg);
static void *on_held_arg;

void log_configure(enum log_level level, bool text)
{
    least_level = level;
    as_text = text;
}

bool log_level_parse(const char *name, enum log_level *ret_level)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_enabled(enum log_level level)
{
    return level >= least_level;
}

/* Brokers, servers and libraries word their errors in whatever encoding they like. */
static void add_quoted(struct buf *line, const char *text)
{
    struct buf clean;

    buf_init(&clean, VALUE_MAX_BYTES);
    utf8_clean(&clean, text, strlen(text));
    json_escape_bytes(line, clean.data, clean.length);
    buf_release(&clean);
}

/* What names something else is no phone number, whatever it looks like. */
static bool is_id(const char *name)
{
    size_t length = strlen(name);

    return (length >= 3 && strcmp(name + length - 3, "_id") == 0) ||
           (length >= 4 && strcmp(name + length - 4, "_sid") == 0);
}

static void add_json_field(struct buf *line, const struct log_field *field)
{
    if (field->kind == LOG_FIELD_INTEGER) {
        json_add_integer(line, field->name, field->integer);
    } else {
        json_add_name(line, field->name);
        add_quoted(line, field->string);
    }
}

static void add_text_field(struct buf *line, const struct log_field *field)
{
    buf_printf(line, " %s=", field->name);
    if (field->kind == LOG_FIELD_INTEGER)
        buf_printf(line, "%lld", (long long)field->integer);
    else if (field->string[0] != '\0' && strlen(field->string) <= VALUE_MAX_BYTES &&
             strpbrk(field->string, " \"=") == NULL && !utf8_has_control(field->string) &&
             utf8_valid(field->string, strlen(field->string)))
        buf_add_string(line, field->string);
    else
        add_quoted(line, field->string);
}

static void begin_line(struct buf *line, enum log_level level, const char *message)
{
    char now[CLOCK_TEXT_SIZE];

    clock_format(clock_wall(), now);
    if (as_text) {
        buf_printf(line, "%s %-5s %s", now, level_names[level], message);
        return;
    }
    buf_add_char(line, '{');
    json_add_text(line, "time", now);
    json_add_text(line, "level", level_names[level]);
    json_add_text(line, "message", message);
}

/* The phone numbers in what was written since `from`. */
static void mask(struct buf *line, size_t from)
{
    if (!show_phone_numbers)
        e164_mask(line->data + from);
}

/* One write() a line, if it can be, so that lines of several processes on one pipe don't mix. */
static void write_all(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, bytes, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* Nobody reads our log, or its disk is full. The work goes on. */
        bytes += written;
        length -= (size_t)written;
    }
}

static void write_line(enum log_level level, const char *message, const struct log_field *fields)
{
    struct buf line;
    size_t written;

    buf_init(&line, LINE_MAX_BYTES);
    begin_line(&line, level, message);
    mask(&line, 0);
    for (; fields->kind != LOG_FIELD_NONE; fields++) {
        if (fields->kind == LOG_FIELD_LEFT_OUT ||
            (fields->kind == LOG_FIELD_STRING && fields->string == NULL))
            continue;
        written = line.length;
        if (as_text)
            add_text_field(&line, fields);
        else
            add_json_field(&line, fields);
        if (!is_id(fields->name))
            mask(&line, written);
    }
    buf_add_string(&line, as_text ? "\n" : "}\n");
    write_all(line.data, line.length);
    buf_release(&line);
}

void log_show_phone_numbers(void)
{
    show_phone_numbers = true;
}

void log_on_held(void (*held)(void *arg), void *arg)
{
    on_held = held;
    on_held_arg = arg;
}

int64_t log_held_until(void)
{
    return flood_next_end(&flood);
}

void log_write_held(bool all)
{
    int64_t now = all ? CLOCK_FOREVER : clock_now();
    struct flood_text ended;
    char message[sizeof ended.text + 16];

    while (flood_take_ended(&flood, now, &ended)) {
        const struct log_field fields[] = {log_int("count", ended.held), LOG_END};

        snprintf(message, sizeof message, "%s: repeated", ended.text);
        write_line((enum log_level)ended.kind, message, fields);
    }
}

/* Whether this line is too much of the same. */
static bool is_held(enum log_level level, const char *message)
{
    bool none_before = log_held_until() == CLOCK_FOREVER;

    if (!none_before)
        log_write_held(false);
    if (flood_admits(&flood, (int)level, message, clock_now()))
        return false;
    if (none_before && on_held != NULL)
        on_held(on_held_arg);
    return true;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    if (!log_enabled(level) || (level >= LOG_WARN && is_held(level, message)))
        return;
    write_line(level, message, fields);
}

void log_write_news(bool news, const char *message, const struct log_field *fields)
{
    enum log_level level = news ? LOG_WARN : LOG_DEBUG;

    if (log_enabled(level))
        write_line(level, message, fields);
}
