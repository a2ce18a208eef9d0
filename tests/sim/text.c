#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(void)
{
    fputs("twilio-sim: out of memory\n", stderr);
    exit(1);
}

void *text_alloc_zeroed(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        out_of_memory();
    return memory;
}

void *text_realloc(void *old, size_t size)
{
    void *memory = realloc(old, size);

    if (memory == NULL)
        out_of_memory();
    return memory;
}

char *text_copy_bytes(const char *bytes, size_t len)
{
    char *copy = text_realloc(NULL, len + 1);

    if (len > 0)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

char *text_copy(const char *string)
{
    return text_copy_bytes(string, strlen(string));
}

void text_release(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}

void text_clear(struct text *t)
{
    t->len = 0;
    if (t->data != NULL)
        t->data[0] = '\0';
}

void text_reserve(struct text *t, size_t more)
{
    size_t needed = t->len + more + 1;
    size_t cap = t->cap < 64 ? 64 : t->cap;

    if (needed <= t->cap)
        return;
    while (cap < needed)
        cap *= 2;
    t->data = text_realloc(t->data, cap);
    t->cap = cap;
    t->data[t->len] = '\0';
}

void text_consume(struct text *t, size_t count)
{
    if (count == 0)
        return;
    t->len -= count;
    memmove(t->data, t->data + count, t->len);
    t->data[t->len] = '\0';
}

const char *text_string(const struct text *t)
{
    return t->data == NULL ? "" : t->data;
}

void text_add(struct text *t, const char *bytes, size_t len)
{
    text_reserve(t, len);
    if (len > 0)
        memcpy(t->data + t->len, bytes, len);
    t->len += len;
    t->data[t->len] = '\0';
}

void text_add_string(struct text *t, const char *string)
{
    text_add(t, string, strlen(string));
}

void text_add_char(struct text *t, char c)
{
    text_add(t, &c, 1);
}

void text_addf(struct text *t, const char *format, ...)
{
    va_list args;
    int needed;

    va_start(args, format);
    needed = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (needed <= 0)
        return;
    text_reserve(t, (size_t)needed);
    va_start(args, format);
    vsnprintf(t->data + t->len, (size_t)needed + 1, format, args);
    va_end(args);
    t->len += (size_t)needed;
}

/* Whether `second` may follow `first`: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool utf8_second_allowed(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xE0:
        return second >= 0xA0;
    case 0xED:
        return second < 0xA0;
    case 0xF0:
        return second >= 0x90;
    case 0xF4:
        return second < 0x90;
    default:
        return true;
    }
}

size_t text_utf8_length(const char *bytes, size_t len)
{
    const unsigned char *b = (const unsigned char *)bytes;
    size_t need;

    if (len == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    if (b[0] < 0xC2 || b[0] > 0xF4)
        return 0;
    need = b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    if (len < need)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if ((b[i] & 0xC0) != 0x80)
            return 0;
    }
    return utf8_second_allowed(b[0], b[1]) ? need : 0;
}

size_t text_count_characters(const char *string)
{
    size_t left = strlen(string);
    size_t count = 0;

    while (left > 0) {
        size_t step = text_utf8_length(string, left);

        if (step == 0)
            step = 1;
        string += step;
        left -= step;
        count++;
    }
    return count;
}

static void add_json_ascii(struct text *t, char c)
{
    switch (c) {
    case '"':
        text_add(t, "\\\"", 2);
        break;
    case '\\':
        text_add(t, "\\\\", 2);
        break;
    case '\n':
        text_add(t, "\\n", 2);
        break;
    case '\r':
        text_add(t, "\\r", 2);
        break;
    case '\t':
        text_add(t, "\\t", 2);
        break;
    default:
        text_addf(t, "\\u%04x", (unsigned)(unsigned char)c);
        break;
    }
}

static bool json_plain(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 0x20 && u < 0x7F && c != '"' && c != '\\';
}

void text_add_json_bytes(struct text *t, const char *bytes, size_t len)
{
    size_t i = 0;

    text_add_char(t, '"');
    while (i < len) {
        size_t start = i;
        size_t step;

        while (i < len && json_plain(bytes[i]))
            i++;
        text_add(t, bytes + start, i - start);
        if (i == len)
            break;
        step = text_utf8_length(bytes + i, len - i);
        if (step == 0)
            text_add_string(t, "\xEF\xBF\xBD");
        else if (step == 1)
            add_json_ascii(t, bytes[i]);
        else
            text_add(t, bytes + i, step);
        i += step == 0 ? 1 : step;
    }
    text_add_char(t, '"');
}

void text_add_json(struct text *t, const char *string)
{
    if (string == NULL)
        text_add_string(t, "null");
    else
        text_add_json_bytes(t, string, strlen(string));
}

void text_add_xml(struct text *t, const char *string)
{
    for (; string != NULL && *string != '\0'; string++) {
        switch (*string) {
        case '&':
            text_add_string(t, "&amp;");
            break;
        case '<':
            text_add_string(t, "&lt;");
            break;
        case '>':
            text_add_string(t, "&gt;");
            break;
        case '"':
            text_add_string(t, "&quot;");
            break;
        default:
            text_add_char(t, *string);
            break;
        }
    }
}

void text_add_urlencoded(struct text *t, const char *string)
{
    for (; *string != '\0'; string++) {
        char c = *string;

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c) != NULL)
            text_add_char(t, c);
        else
            text_addf(t, "%%%02X", (unsigned)(unsigned char)c);
    }
}
