#include "worker/commands/columns.h"

#include <stdint.h>
#include <string.h>

#include "common/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct range {
    uint32_t first, last;
};

/* Unicode's East Asian Width W and F, in broad strokes. */
static const struct range wide[] = {
    {0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},
    {0x4e00, 0x9fff},   {0xa000, 0xa4cf},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
    {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
    {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

/* What stands on the character before it, or isn't seen at all. */
static const struct range narrow[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd},   {0x064b, 0x065f},
    {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x2064},   {0x20d0, 0x20ff},
    {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xe0100, 0xe01ef},
};

static bool is_in(uint32_t c, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    }
    return false;
}

/* The character at `text`, and in *ret_length its bytes. */
static uint32_t character(const char *text, size_t *ret_length)
{
    const unsigned char *c = (const unsigned char *)text;
    size_t length = utf8_prefix(text, 1);
    uint32_t code = length == 1   ? c[0]
                    : length == 2 ? c[0] & 0x1fu
                    : length == 3 ? c[0] & 0x0fu
                                  : c[0] & 0x07u;

    for (size_t i = 1; i < length; i++)
        code = code << 6 | (c[i] & 0x3fu);
    *ret_length = length;
    return code;
}

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* Characters that turn the direction of the text would reorder the line. */
static bool is_dropped(uint32_t c)
{
    return (c >= 0x200e && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

static int width_of(uint32_t c)
{
    if (is_in(c, wide, COUNT(wide)))
        return 2;
    return is_dropped(c) || is_in(c, narrow, COUNT(narrow)) ? 0 : 1;
}

int columns_of(const char *text)
{
    int columns = 0;
    size_t length;

    for (; *text != '\0'; text += length)
        columns += width_of(character(text, &length));
    return columns;
}

/* Appends what fits into `width` columns; returns how many it took. */
static int add_fitting(struct buf *out, const char *text, int width)
{
    int columns = 0;
    size_t length;

    for (; *text != '\0'; text += length) {
        uint32_t c = character(text, &length);

        if (columns + width_of(c) > width)
            break;
        columns += width_of(c);
        if (is_control(c))
            buf_add_char(out, ' ');
        else if (!is_dropped(c))
            buf_add(out, text, length);
    }
    return columns;
}

static int add_cut(struct buf *out, const char *text, int width)
{
    int columns;

    if (columns_of(text) <= width)
        return add_fitting(out, text, width);
    columns = add_fitting(out, text, width - 1);
    if (width > 0)
        buf_add_string(out, "…");
    return columns + (width > 0);
}

void columns_add_last(struct buf *out, const char *text, int width)
{
    add_cut(out, text, width);
}

void columns_add(struct buf *out, const char *text, int width, bool right)
{
    int taken = 0;

    for (int blanks = right ? width - columns_of(text) : 0; taken < blanks; taken++)
        buf_add_char(out, ' ');
    for (taken += add_cut(out, text, width - taken); taken < width; taken++)
        buf_add_char(out, ' ');
}
