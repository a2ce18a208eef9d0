#include "utf8.h"

#include <stdint.h>
#include <string.h>

/* The length of the well-formed character that begins at `s`, or 0. */
static size_t sequence(const unsigned char *s, size_t left)
{
    size_t length;
    uint32_t point;

    if (left == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        length = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        length = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (left < length)
        return 0;
    point = s[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (s[i] & 0x3fU);
    }
    if ((length == 3 && point < 0x800) || (length == 4 && point < 0x10000))
        return 0;
    if ((point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff)
        return 0;
    return length;
}

/* How many bytes from `s` on are surely ASCII without NUL: most texts are nothing else. */
static size_t plain_run(const unsigned char *s, size_t left)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = UINT64_C(0x8080808080808080);
    uint64_t word;
    size_t run = 0;

    for (; left - run >= sizeof word; run += sizeof word) {
        memcpy(&word, s + run, sizeof word);
        if (((word | (word - ones)) & tops) != 0)
            break;
    }
    return run;
}

bool utf8_valid(const char *bytes, size_t length)
{
    const unsigned char *s = (const unsigned char *)bytes;

    for (size_t i = plain_run(s, length); i < length; i += plain_run(s + i, length - i)) {
        size_t step = sequence(s + i, length - i);

        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

size_t utf8_length(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

size_t utf8_prefix(const char *text, size_t characters)
{
    size_t i = 0;

    for (; text[i] != '\0'; i++) {
        bool starts = ((unsigned char)text[i] & 0xc0) != 0x80;

        if (starts && characters-- == 0)
            break;
    }
    return i;
}

bool utf8_has_control(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    for (; *s != '\0'; s++) {
        if (*s < 0x20 || *s == 0x7f || (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f))
            return true;
    }
    return false;
}

#define SHOWN_MAX 128 /* bytes */

int utf8_shown(const char *word, size_t length)
{
    char start[SHOWN_MAX + 1];
    size_t shown = length < SHOWN_MAX ? length : SHOWN_MAX;

    while (shown > 0 && shown < length && ((unsigned char)word[shown] & 0xc0) == 0x80)
        shown--;
    memcpy(start, word, shown);
    start[shown] = '\0';
    return utf8_has_control(start) ? 0 : (int)shown;
}

bool utf8_clean(struct buf *buf, const char *bytes, size_t length)
{
    static const char replacement[] = "\xef\xbf\xbd";
    const unsigned char *s = (const unsigned char *)bytes;
    bool fits = true;

    for (size_t i = 0; i < length && fits;) {
        size_t room = buf->max - buf->length;
        size_t left = length - i;
        size_t run = i + plain_run(s + i, left < room ? left : room);
        size_t step;

        /* Only whole characters: what is cut off must leave valid UTF-8 behind. */
        while (run < length && s[run] != '\0' && (step = sequence(s + run, length - run)) > 0 &&
               run + step - i <= room)
            run += step;
        buf_add(buf, bytes + i, run - i);
        if (run < length && s[run] != '\0' && sequence(s + run, length - run) > 0) {
            fits = false;
        } else if (run < length) {
            fits = buf->max - buf->length >= sizeof replacement - 1 &&
                   buf_add_string(buf, replacement);
            run++;
        }
        i = run;
    }
    buf->overflow = buf->overflow || !fits;
    return fits;
}
