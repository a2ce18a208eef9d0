/*
 * Secrets in what strangers say: planted in any spelling they are not in what is kept, also cut;
 * and what is no secret stays as it was.
 */
#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/redact.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

#define ROOM       ((size_t)4 << 20)
#define LAYERS     4 /* of escaping, the secret's own among them */
#define SECRET_MAX 255
#define SPELLED    ((size_t)32 << 10) /* a longer one isn't escaped again */
#define LONG       ((size_t)64 << 10)
#define FORMS      32
#define ESCAPE_MAX 12
#define NEAT       48 /* without an escape in so many bytes, what follows is on its own */

/* The input: what is secret, how it is spelled, what stands around it. */
struct plan {
    const char *secret, *user, *spelling, *before, *after;
};

/* ---- spelling: what others do with a secret ---- */

static char *base64(const char *bytes, size_t length)
{
    char *out = mem_zalloc(4 * ((length + 2) / 3) + 1);

    EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)bytes, (int)length);
    return out;
}

/* Base64 of the text with something before and behind it. */
static char *base64_within(const char *before, const char *text, const char *after)
{
    char *whole = mem_printf("%s%s%s", before, text, after);
    char *out = base64(whole, strlen(whole));

    free(whole);
    return out;
}

static char *hex(const char *text, const char *format)
{
    char *out = mem_zalloc(2 * strlen(text) + 1);

    for (size_t i = 0; text[i] != '\0'; i++)
        snprintf(out + 2 * i, 3, format, (unsigned char)text[i]);
    return out;
}

static char *login(const struct plan *plan)
{
    char *pair = mem_printf("%s:%s", plan->user, plan->secret);
    char *out = base64(pair, strlen(pair));

    free(pair);
    return out;
}

static char *in_case(const char *text, int (*to)(int))
{
    char *out = mem_strdup(text);

    for (char *c = out; *c != '\0'; c++)
        *c = (char)to((unsigned char)*c);
    return out;
}

/* What the spelling's first letter makes of the secret; `behind` stands behind it in base64. */
static char *inner(const struct plan *plan, const char *behind)
{
    static const char *const befores[] = {"", "t", "t="};
    char letter = plan->spelling[0], *pair, *out;

    switch (letter) {
    case 'u':
        return in_case(plan->secret, toupper);
    case 'h':
        return hex(plan->secret, "%02x");
    case 'H':
        return hex(plan->secret, "%02X");
    case '0':
    case '1':
    case '2':
        return base64_within(befores[letter - '0'], plan->secret, behind);
    case 'l':
        return login(plan);
    case '3':
    case '4':
    case '5':
        pair = login(plan);
        out = base64_within(befores[letter - '3'], pair, behind);
        free(pair);
        return out;
    default:
        return mem_strdup(plan->secret);
    }
}

/* The ways to escape: which characters must be, how one is written, and which are besides. */
static const struct layer {
    char letter;
    const char *must, *format;
    int every; /* and each so manieth of the secret's own characters; 0: none, 1: all, always */
} layers[] = {
    {'p', "%+/=\"\\<>&'#?:;@!$()[]{}|^`,~", "%%%02X", 0},
    {'q', "%+/=\"\\<>&'#?:;@!$()[]{}|^`,~", "%%%02x", 3},
    {'P', "", "%%%02x", 1},
    {'j', "\"\\", "\\%c", 0},
    {'J', "\"\\/", "\\%c", 0},
    {'k', "\"\\<>&'/+", "\\u%04X", 3},
    {'U', "", "\\u%04x", 1},
    {'x', "", "\\x%02X", 1},
    {'e', "&<>\"'", "&#%d;", 0},
    {'d', "&<>\"'\\", "&#%07d;", 3},
    {'D', "", "&#%d;", 1},
    {'X', "", "&#x%X;", 1},
    {'n', "&<>\"'+=/", NULL, 0},
};

static const struct {
    unsigned char c;
    const char *name;
} entities[] = {{'&', "&amp;"},   {'<', "&lt;"},   {'>', "&gt;"},     {'"', "&quot;"},
                {'\'', "&apos;"}, {'+', "&plus;"}, {'=', "&equals;"}, {'/', "&sol;"}};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void add_named(struct buf *out, char c)
{
    for (size_t i = 0; i < COUNT(entities); i++) {
        if (entities[i].c == (unsigned char)c)
            buf_add_string(out, entities[i].name);
    }
}

static char *escaped(const struct layer *layer, const char *text, bool first)
{
    size_t every = layer->every > 1 && !first ? 0 : (size_t)layer->every;
    struct buf out;

    buf_init(&out, ROOM);
    for (size_t i = 0; text[i] != '\0'; i++) {
        unsigned char c = (unsigned char)text[i];
        bool is = strchr(layer->must, text[i]) != NULL || (every > 0 && i % every == 0);

        if (!is)
            buf_add_char(&out, text[i]);
        else if (layer->format == NULL)
            add_named(&out, text[i]);
        else
            buf_printf(&out, layer->format, c); /* NOLINT: it is one of the table's */
    }
    return buf_detach(&out);
}

/*
 * The secret as it is spelled, cut to `kept` characters before it is escaped; counts the layers.
 * '_' is base64's other alphabet.
 */
static char *spelled(const struct plan *plan, const char *behind, size_t kept, int *ret_layers)
{
    char *text = inner(plan, behind);

    text[strnlen(text, kept)] = '\0';
    *ret_layers = 0;
    for (const char *letter = plan->spelling; *letter != '\0'; letter++) {
        if (*letter == '_' && strchr("012345l", plan->spelling[0]) != NULL && *ret_layers == 0) {
            for (char *c = text; *c != '\0'; c++)
                *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
        }
        for (size_t i = 0; letter > plan->spelling && i < COUNT(layers); i++) {
            if (layers[i].letter == *letter && *ret_layers < LAYERS && strlen(text) < SPELLED) {
                char *next = escaped(&layers[i], text, *ret_layers == 0);

                free(text);
                text = next;
                ++*ret_layers;
            }
        }
    }
    return text;
}

/* ---- an oracle: what a text says, slowly ---- */

static char folded(char c)
{
    return c == '-' ? '+' : c == '_' ? '/' : (char)tolower((unsigned char)c);
}

static bool starts(const char *text, size_t left, const char *with)
{
    return left >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

/* The escape that the text begins with: its length and what it says; 0: none. */
static size_t escape_at(const char *text, size_t left, char *ret_c)
{
    static const struct {
        const char *lead, *digits, *tail;
        size_t min, max;
        int base;
    } numbers[] = {
        {"%", "0123456789abcdef", "", 2, 2, 16},   {"\\u", "0123456789abcdef", "", 4, 4, 16},
        {"\\x", "0123456789abcdef", "", 2, 2, 16}, {"&#x", "0123456789abcdef", ";", 0, 8, 16},
        {"&#", "0123456789", ";", 0, 9, 10},
    };

    for (size_t i = 0; i < COUNT(numbers); i++) {
        size_t lead = strlen(numbers[i].lead), count = 0;
        char digits[16] = "";

        if (!starts(text, left, numbers[i].lead))
            continue;
        while (count < numbers[i].max && lead + count < left && text[lead + count] != '\0' &&
               strchr(numbers[i].digits, text[lead + count]) != NULL) {
            digits[count] = text[lead + count];
            count++;
        }
        if (count < numbers[i].min || strtoul(digits, NULL, numbers[i].base) > 255 ||
            !starts(text + lead + count, left - lead - count, numbers[i].tail))
            continue;
        *ret_c = (char)strtoul(digits, NULL, numbers[i].base);
        return lead + count + strlen(numbers[i].tail);
    }
    for (size_t i = 0; i < COUNT(entities); i++) {
        *ret_c = (char)entities[i].c;
        if (starts(text, left, entities[i].name))
            return strlen(entities[i].name);
    }
    *ret_c = left > 1 ? text[1] : '\0';
    return text[0] == '\\' && left > 1 ? 2 : 0;
}

/* Folds, and takes one layer of escapes off. False if there was none. */
static bool read_once(char *text, size_t *length)
{
    size_t out = 0, before = *length;

    for (size_t i = 0; i < before; out++) {
        char c;
        size_t taken = escape_at(text + i, before - i, &c);

        text[out] = folded(taken > 0 ? c : text[i]);
        i += taken > 0 ? taken : 1;
    }
    *length = out;
    return out < before;
}

static void fold_all(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        text[i] = folded(text[i]);
}

/* ---- all that a secret may look like ---- */

struct forms {
    char *list[FORMS];
    size_t lengths[FORMS];
    int count;
    int depth;   /* how often the secret itself can be read … */
    size_t core; /* … and how much of it is then sure, whatever follows it */
};

static void add_form(struct forms *forms, const char *text, size_t from, size_t until)
{
    must(forms->count < FORMS && from + REDACT_MIN <= until);
    forms->list[forms->count] = mem_copy(text + from, until - from);
    forms->lengths[forms->count] = until - from;
    fold_all(forms->list[forms->count++], until - from);
}

/* Of base64 what the text alone decides. */
static void add_encodings(struct forms *forms, const char *text)
{
    static const char *const befores[] = {"", "t", "t="};
    static const size_t undecided[] = {0, 2, 3};
    char *whole;

    for (size_t i = 0; i < COUNT(befores); i++) {
        whole = base64_within(befores[i], text, "");
        add_form(forms, whole, undecided[i], (i + strlen(text)) * 8 / 6);
        free(whole);
    }
    whole = hex(text, "%02x");
    add_form(forms, whole, 0, strlen(whole));
    free(whole);
}

/* How much of it is left once it is read, without an escape that what follows may complete. */
static size_t sure_length(const char *secret)
{
    size_t length = strlen(secret), from = length > ESCAPE_MAX ? length - ESCAPE_MAX : 0;
    char *text;

    length = from + strcspn(secret + from, "%\\&");
    text = mem_copy(secret, length);
    while (read_once(text, &length))
        ;
    free(text);
    return length;
}

static void forms_init(struct forms *forms, const struct plan *plan)
{
    char *basic = login(plan), *reading = mem_strdup(plan->secret);
    size_t length = strlen(reading);

    *forms = (struct forms){.count = 0};
    add_form(forms, reading, 0, length);
    fold_all(reading, length);
    while (read_once(reading, &length)) {
        forms->depth++;
        if (length >= REDACT_MIN && forms->count < 12)
            add_form(forms, reading, 0, length);
    }
    forms->core = sure_length(plan->secret);
    add_encodings(forms, plan->secret);
    basic[strcspn(basic, "=")] = '\0';
    add_form(forms, basic, 0, strlen(basic));
    add_encodings(forms, basic);
    free(reading);
    free(basic);
}

static void forms_release(struct forms *forms)
{
    for (int i = 0; i < forms->count; i++)
        free(forms->list[i]);
}

/* Whether the text has the first `most` characters of any form, or all of a shorter one. */
static bool has_some(const struct forms *forms, const char *text, size_t length, size_t most)
{
    for (int i = 0; i < forms->count; i++) {
        size_t looked_for = forms->lengths[i] < most ? forms->lengths[i] : most;

        if (memmem(text, length, forms->list[i], looked_for) != NULL)
            return true;
    }
    return false;
}

/* The same of what the text says after as many readings as are promised. */
static bool says_some(const struct forms *forms, const char *bytes, size_t length, size_t most)
{
    char *text = mem_copy(bytes, length);
    bool found;

    fold_all(text, length);
    found = has_some(forms, text, length, most);
    for (int i = 0; i < LAYERS && !found && read_once(text, &length); i++)
        found = has_some(forms, text, length, most);
    free(text);
    return found;
}

/* Whether nothing in the secret itself can be read as an escape, or as the beginning of one. */
static bool is_tame(const struct plan *plan)
{
    return strpbrk(plan->secret, "%\\&") == NULL;
}

/* ---- properties ---- */

static void redacted(const struct redactor *redactor, const char *bytes, size_t length,
                     struct buf *out)
{
    char *exact = fuzz_exact(bytes, length);

    buf_init(out, ROOM);
    buf_add_string(out, "");
    redact(redactor, exact, length, out);
    must(!out->overflow && strlen(out->data) == out->length);
    must(fuzz_is_utf8(out->data, out->length));
    free(exact);
}

/* Into any room goes the beginning of the same. */
static void check_room(const struct redactor *redactor, const char *bytes, size_t length,
                       const struct buf *whole)
{
    struct buf out;

    buf_init(&out, length / 2);
    buf_add_string(&out, "");
    redact(redactor, bytes, length, &out);
    must(out.length <= length / 2 && fuzz_is_utf8(out.data, out.length));
    must(out.length <= whole->length && memcmp(out.data, whole->data, out.length) == 0);
    buf_release(&out);
}

/* What says nothing secret stays byte for byte. */
static void check_keeps(const struct redactor *redactor, const struct forms *forms,
                        const char *bytes, size_t length)
{
    struct buf out, clean;

    redacted(redactor, bytes, length, &out);
    check_room(redactor, bytes, length, &out);
    if (!says_some(forms, bytes, length, REDACT_MIN)) {
        buf_init(&clean, ROOM);
        buf_add_string(&clean, "");
        utf8_clean(&clean, bytes, length);
        must(strcmp(out.data, clean.data) == 0);
        buf_release(&clean);
    }
    buf_release(&out);
}

/* Between blanks, and without base64's shared ends: three stars, and all around them. */
static void check_exact(const struct plan *plan, const struct buf *out)
{
    struct buf expected;

    buf_init(&expected, ROOM);
    utf8_clean(&expected, plan->before, strlen(plan->before));
    buf_add_string(&expected, " " REDACTED " ");
    utf8_clean(&expected, plan->after, strlen(plan->after));
    must(strcmp(out->data, expected.data) == 0);
    buf_release(&expected);
}

static bool is_neat(const char *text)
{
    size_t length = strlen(text);

    return strpbrk(text + (length > NEAT ? length - NEAT : 0), "%\\&") == NULL;
}

static void check_planted(const struct redactor *redactor, const struct forms *forms,
                          const struct plan *plan, const char *text, const char *blank)
{
    char *whole = mem_printf("%s%s%s%s%s", plan->before, blank, text, blank, plan->after);
    struct buf out;

    redacted(redactor, whole, strlen(whole), &out);
    must(!says_some(forms, out.data, out.length, SIZE_MAX));
    must(strstr(out.data, REDACTED) != NULL);
    if (blank[0] != '\0' && strchr("012345l", plan->spelling[0]) == NULL && is_tame(plan))
        check_exact(plan, &out);
    buf_release(&out);
    free(whole);
}

static void check_end(const struct redactor *redactor, const struct forms *forms,
                      const struct plan *plan, const char *text, size_t length, size_t most)
{
    char *whole = mem_printf("%s %.*s", plan->before, (int)length, text);
    struct buf out;

    redacted(redactor, whole, strlen(whole), &out);
    must(!says_some(forms, out.data, out.length, most));
    buf_release(&out);
    free(whole);
}

/*
 * Cut at the end no more than a little of it is left; where an escape is cut the oracle may take
 * its beginning for a character, and so for another secret. A secret that is itself made of escapes
 * of escapes is found whole, but may be cut where none of its readings begins: nobody has such.
 */
static void check_cut(const struct redactor *redactor, const struct forms *forms,
                      const struct plan *plan, const char *text, const char *behind)
{
    size_t length = strlen(text);
    int count;

    for (size_t kept = 1; kept <= length && forms->depth <= 1; kept += 1 + length / 20)
        check_end(redactor, forms, plan, text, kept, 2 * REDACT_MIN);
    for (size_t kept = REDACT_MIN; kept < 2 * REDACT_MIN && is_tame(plan); kept += 3) {
        char *cut = spelled(plan, behind, kept, &count);

        check_end(redactor, forms, plan, cut, strlen(cut), REDACT_MIN);
        free(cut);
    }
}

static void check_spelling(const struct redactor *redactor, const struct forms *forms,
                           const struct plan *plan)
{
    static const char *const behinds[] = {"", "x", "&x"};
    const char *behind = behinds[strlen(plan->after) % COUNT(behinds)];
    int count;
    char *text;

    /* Around it nothing that would be found by itself. */
    if (says_some(forms, plan->before, strlen(plan->before), REDACT_MIN) ||
        says_some(forms, plan->after, strlen(plan->after), REDACT_MIN))
        return;
    text = spelled(plan, behind, SIZE_MAX, &count);
    /* A secret may be made of escapes so much that nothing is left of it. */
    if (count == 0 || (count + forms->depth <= LAYERS && forms->core >= REDACT_MIN)) {
        check_planted(redactor, forms, plan, text, " ");
        if (is_neat(plan->before))
            check_planted(redactor, forms, plan, text, "");
        check_cut(redactor, forms, plan, text, behind);
    }
    free(text);
}

/* As long as an answer may be: a blink. */
static void check_time(const struct redactor *redactor, const char *piece)
{
    clock_t start = clock();
    struct buf text, out;

    buf_init(&text, LONG);
    while (!text.overflow && piece[0] != '\0')
        buf_add_string(&text, piece);
    if (text.length > 0) {
        redacted(redactor, text.data, text.length, &out);
        buf_release(&out);
    }
    must(clock() - start < 2 * CLOCKS_PER_SEC);
    buf_release(&text);
}

/* A secret has no blanks and no control characters; ours none of what stands for it either. */
static bool is_secret(const char *text)
{
    size_t length = strlen(text);

    if (length < REDACT_MIN || length > SECRET_MAX)
        return false;
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text >= 0x7f || *text == '*')
            return false;
    }
    return true;
}

static void check_secret(const struct plan *plan, const struct fuzz_input *input)
{
    struct redactor *redactor = redactor_new();
    struct forms forms;

    redactor_add_login(redactor, plan->user, plan->secret);
    forms_init(&forms, plan);
    for (int i = 3; i < input->count; i++)
        check_keeps(redactor, &forms, input->pieces[i], input->lengths[i]);
    if (plan->spelling[0] != '\0')
        check_spelling(redactor, &forms, plan);
    if (strchr(plan->spelling, 'T') != NULL)
        check_time(redactor, plan->before);
    forms_release(&forms);
    redactor_free(redactor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    struct plan plan;

    fuzz_split(data, size, &input);
    plan = (struct plan){.secret = fuzz_text(&input, 0),
                         .user = fuzz_text(&input, 1),
                         .spelling = fuzz_text(&input, 2),
                         .before = fuzz_text(&input, 3),
                         .after = fuzz_text(&input, 4)};
    if (is_secret(plan.secret))
        check_secret(&plan, &input);
    fuzz_release(&input);
    return 0;
}
