#include "redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "mem.h"
#include "utf8.h"

/* How often what was escaped may have been escaped again: JSON in HTML in JSON, in a query. */
#define READINGS 4
/* Of &#0000065; */
#define DIGITS_MAX 8
/* Letters and digits in a row that may be a token, and those of a SID. */
#define SUSPECT_MIN 20
#define SID_LENGTH  34
/* Of a field. */
#define NAME_MAX_BYTES 64

/* A text that is looked for, folded. Needles are told by their place, from 1; 0 is none. */
struct needle {
    char *text;
    size_t length;
    size_t next; /* that begins with the same character */
};

struct redactor {
    struct needle *needles;
    size_t count;
    size_t first[256]; /* that begins with this character */
};

/* One case, and one of base64's two alphabets. */
static unsigned char fold(unsigned char c)
{
    if (c == '-' || c == '_')
        return c == '-' ? '+' : '/';
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* ---- what a text says, once what is escaped in it is read ---- */

/* The text as it reads after some rounds of it, folded. */
struct reading {
    unsigned char *text;
    uint32_t *from; /* where in the bytes each character begins; and behind the last, their end */
    size_t length;
};

/* A character that was read, and how much it took; 0: the text ends within it. */
struct character {
    unsigned char c;
    size_t length;
};

static int digit_of(unsigned char c)
{
    if (isdigit(c))
        return c - '0';
    return isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

/* Exactly `digits` hexadecimal digits, `skip` characters on; `else_` if they aren't there. */
static struct character read_hex(const unsigned char *text, size_t left, size_t skip, size_t digits,
                                 struct character else_)
{
    unsigned value = 0;

    for (size_t i = skip; i < skip + digits; i++) {
        if (i >= left)
            return (struct character){.length = 0};
        if (digit_of(text[i]) < 0)
            return else_;
        value = value << 4 | (unsigned)digit_of(text[i]);
    }
    return value < 256 ? (struct character){(unsigned char)value, skip + digits} : else_;
}

/* \u0041 and \x41; of any other escape the character itself. */
static struct character read_backslash(const unsigned char *text, size_t left)
{
    struct character itself;

    if (left < 2)
        return (struct character){.length = 0};
    itself = (struct character){text[1], 2};
    if (text[1] == 'u')
        return read_hex(text, left, 2, 4, itself);
    return text[1] == 'x' ? read_hex(text, left, 2, 2, itself) : itself;
}

/* &#65; and &#x41; */
static struct character read_number(const unsigned char *text, size_t left)
{
    const struct character none = {'&', 1};
    bool hex = left > 2 && tolower(text[2]) == 'x';
    unsigned value = 0;

    for (size_t i = hex ? 3 : 2; i < 3 + DIGITS_MAX; i++) {
        if (i >= left)
            return (struct character){.length = 0};
        if (text[i] == ';')
            return value < 256 ? (struct character){(unsigned char)value, i + 1} : none;
        if (digit_of(text[i]) < 0 || (digit_of(text[i]) > 9 && !hex))
            return none;
        value = value * (hex ? 16 : 10) + (unsigned)digit_of(text[i]);
    }
    return none;
}

static struct character read_entity(const unsigned char *text, size_t left)
{
    static const struct {
        const char *text;
        unsigned char c;
    } entities[] = {{"&amp;", '&'},   {"&lt;", '<'},   {"&gt;", '>'},     {"&quot;", '"'},
                    {"&apos;", '\''}, {"&plus;", '+'}, {"&equals;", '='}, {"&sol;", '/'}};

    if (left > 1 && text[1] == '#')
        return read_number(text, left);
    for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++) {
        size_t length = strlen(entities[i].text);

        if (memcmp(text, entities[i].text, left < length ? left : length) == 0)
            return (struct character){entities[i].c, left < length ? 0 : length};
    }
    return (struct character){'&', 1};
}

static struct character read_character(const unsigned char *text, size_t left)
{
    switch (text[0]) {
    case '%':
        return read_hex(text, left, 1, 2, (struct character){'%', 1});
    case '\\':
        return read_backslash(text, left);
    case '&':
        return read_entity(text, left);
    default:
        return (struct character){text[0], 1};
    }
}

static void reading_init(struct reading *reading, const char *bytes, size_t length)
{
    reading->text = (unsigned char *)mem_copy(bytes, length);
    reading->from = mem_zalloc((length + 1) * sizeof *reading->from);
    reading->length = length;
    for (size_t i = 0; i <= length; i++) {
        reading->text[i] = fold(reading->text[i]);
        reading->from[i] = (uint32_t)i;
    }
}

static bool has_escape(const struct reading *reading)
{
    return memchr(reading->text, '%', reading->length) != NULL ||
           memchr(reading->text, '\\', reading->length) != NULL ||
           memchr(reading->text, '&', reading->length) != NULL;
}

/* Reads once more what is read already. False if that makes no difference. */
static bool read_again(struct reading *reading)
{
    size_t length = 0, i = 0;

    if (!has_escape(reading))
        return false;
    while (i < reading->length) {
        struct character next = read_character(reading->text + i, reading->length - i);

        if (next.length == 0)
            break; /* cut: its beginning says nothing */
        reading->from[length] = reading->from[i];
        reading->text[length++] = fold(next.c);
        i += next.length;
    }
    reading->from[length] = reading->from[reading->length];
    i = reading->length;
    reading->length = length;
    return length < i;
}

static void reading_release(struct reading *reading)
{
    mem_wipe(reading->text, reading->from[reading->length]);
    free(reading->text);
    free(reading->from);
}

/* ---- the secrets ---- */

struct redactor *redactor_new(void)
{
    return mem_zalloc(sizeof(struct redactor));
}

void redactor_free(struct redactor *redactor)
{
    if (redactor == NULL)
        return;
    for (size_t i = 0; i < redactor->count; i++) {
        mem_wipe(redactor->needles[i].text, redactor->needles[i].length);
        free(redactor->needles[i].text);
    }
    free(redactor->needles);
    free(redactor);
}

static void add_needle(struct redactor *redactor, const char *text, size_t length)
{
    struct needle *needle;
    size_t *first;

    redactor->needles =
        mem_realloc(redactor->needles, (redactor->count + 1) * sizeof *redactor->needles);
    needle = &redactor->needles[redactor->count++];
    *needle = (struct needle){.text = mem_copy(text, length), .length = length};
    for (size_t i = 0; i < length; i++)
        needle->text[i] = (char)fold((unsigned char)needle->text[i]);
    first = &redactor->first[(unsigned char)needle->text[0]];
    needle->next = *first;
    *first = redactor->count;
}

/* Of base64 what `text` alone decides, if `before` (0 to 2) bytes stand before it. */
static void add_base64(struct redactor *redactor, const char *text, size_t before)
{
    static const size_t undecided[] = {0, 2, 3};
    size_t length = before + strlen(text);
    size_t from = undecided[before], until = length * 8 / 6;
    char *bytes = mem_zalloc(length + 1), *encoded = mem_zalloc(BASE64_SIZE(length));

    memcpy(bytes + before, text, length - before);
    base64_encode(bytes, length, encoded);
    add_needle(redactor, encoded + from, until - from);
    mem_wipe(bytes, length);
    mem_wipe(encoded, BASE64_SIZE(length));
    free(bytes);
    free(encoded);
}

static void add_hex(struct redactor *redactor, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = strlen(text);
    char *hex = mem_zalloc(2 * length + 1);

    for (size_t i = 0; i < length; i++) {
        hex[2 * i] = digits[(unsigned char)text[i] >> 4];
        hex[2 * i + 1] = digits[(unsigned char)text[i] & 15];
    }
    add_needle(redactor, hex, 2 * length);
    mem_wipe(hex, 2 * length);
    free(hex);
}

static void add_encodings(struct redactor *redactor, const char *text)
{
    for (size_t before = 0; before < 3; before++)
        add_base64(redactor, text, before);
    add_hex(redactor, text);
}

/* What a secret reads as that has an escape in it itself: a reading of a text may go that far. */
static void add_readings(struct redactor *redactor, const char *secret)
{
    struct reading reading;

    reading_init(&reading, secret, strlen(secret));
    while (read_again(&reading)) {
        if (reading.length >= REDACT_MIN)
            add_needle(redactor, (const char *)reading.text, reading.length);
    }
    reading_release(&reading);
}

void redactor_add(struct redactor *redactor, const char *secret)
{
    if (secret == NULL || strlen(secret) < REDACT_MIN)
        return;
    add_needle(redactor, secret, strlen(secret));
    add_readings(redactor, secret);
    add_encodings(redactor, secret);
}

void redactor_add_login(struct redactor *redactor, const char *user, const char *password)
{
    char *pair = mem_printf("%s:%s", user, password);
    size_t size = BASE64_SIZE(strlen(pair));
    char *basic = mem_zalloc(size);

    base64_encode(pair, strlen(pair), basic);
    /* A page may have the padding escaped. */
    basic[strcspn(basic, "=")] = '\0';
    redactor_add(redactor, password);
    if (strlen(basic) >= REDACT_MIN) {
        add_needle(redactor, basic, strlen(basic));
        add_encodings(redactor, basic); /* a dump of a whole request */
    }
    mem_wipe(pair, strlen(pair));
    mem_wipe(basic, size);
    free(pair);
    free(basic);
}

/* ---- looking for them ---- */

/* How many characters at `at` are the needle, or enough of its beginning; 0: it isn't here. */
static size_t match(const struct needle *needle, const struct reading *reading, size_t at)
{
    size_t left = reading->length - at, length = 0;
    size_t enough;

    while (length < left && length < needle->length &&
           reading->text[at + length] == (unsigned char)needle->text[length])
        length++;
    enough = length == left ? REDACT_MIN : REDACT_BEGINNING;
    return length == needle->length || length >= enough ? length : 0;
}

/* Marks the bytes that say a secret. */
static void mark(const struct redactor *redactor, const struct reading *reading, bool *secret)
{
    for (size_t at = 0; at < reading->length; at++) {
        for (size_t n = redactor->first[reading->text[at]]; n != 0;) {
            const struct needle *needle = &redactor->needles[n - 1];
            size_t length = match(needle, reading, at);
            size_t from = reading->from[at];

            n = needle->next;
            if (length > 0)
                memset(secret + from, true, reading->from[at + length] - from);
        }
    }
}

/* Appends a run of bytes that are secret, or that are not. False if there is no more room. */
static bool add_run(struct buf *out, const char *bytes, size_t length, bool secret)
{
    return secret ? buf_add_string(out, REDACTED) : utf8_clean(out, bytes, length);
}

void redact(const struct redactor *redactor, const char *bytes, size_t length, struct buf *out)
{
    bool *secret = mem_zalloc((length + 1) * sizeof *secret);
    struct reading reading;
    size_t run;

    reading_init(&reading, bytes, length);
    mark(redactor, &reading, secret);
    for (int i = 0; i < READINGS && read_again(&reading); i++)
        mark(redactor, &reading, secret);
    reading_release(&reading);
    for (size_t i = 0; i < length; i += run) {
        run = 1;
        while (i + run < length && secret[i + run] == secret[i])
            run++;
        if (!add_run(out, bytes + i, run, secret[i]))
            break;
    }
    free(secret);
}

/* ---- what nobody knows ---- */

static bool is_suspect(const char *run, size_t length)
{
    size_t digits = 0;

    for (size_t i = 0; i < length; i++)
        digits += isdigit((unsigned char)run[i]) != 0;
    if (length == SID_LENGTH && isupper((unsigned char)run[0]) && isupper((unsigned char)run[1]))
        return false;
    return length >= SUSPECT_MIN && digits > 0 && digits < length;
}

bool redact_suspects(const char *text)
{
    while (*text != '\0') {
        size_t run = 0;

        while (isalnum((unsigned char)text[run]))
            run++;
        if (is_suspect(text, run))
            return true;
        text += run + (text[run] != '\0');
    }
    return false;
}

bool redact_is_name(const char *text)
{
    size_t length = strlen(text);
    size_t plain = 0;

    while (plain < length &&
           (isalnum((unsigned char)text[plain]) || strchr("_-. ", text[plain]) != NULL))
        plain++;
    return length <= NAME_MAX_BYTES && plain == length && !redact_suspects(text);
}
