/* Twilio's lists of messages, and which of them are whose: no message is given to two attempts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/fuzz/fuzz.h"
#include "worker/lookup.h"

#define ACCOUNT "AC0123456789abcdef0123456789abcdef"
#define PATH    "/2010-04-01/Accounts/" ACCOUNT "/Messages.json?"
#define TO      "+37120000000"
#define SECOND  INT64_C(1000000)
/* Seeds are about this hour: Fri, 24 May 2019 17:00:00 +0000. */
#define HOUR   (INT64_C(1558717200) * SECOND)
#define SOUGHT 4

static void check_listed(const struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        const struct listed *m = &listing->messages[i];

        must(fuzz_matches("^(MM|SM)[0-9a-fA-F]{32}$", m->sid));
        must(m->status[0] == '\0' || fuzz_is_line(m->status, sizeof m->status));
        must(m->created_at >= listing->created_from && m->created_at % SECOND == 0);
        must(fuzz_is_utf8(m->body, strlen(m->body)));
        must(m->linkless == NULL || fuzz_is_utf8(m->linkless, strlen(m->linkless)));
        for (size_t j = 0; j < i; j++)
            must(strcmp(m->sid, listing->messages[j].sid) != 0);
    }
}

/* The same page in other letters adds nothing. */
static void check_again(struct listing *listing, const char *page, size_t length)
{
    json_t *json = json_loadb(page, length, 0, NULL);
    char *text = json_dumps(json, JSON_INDENT(1) | JSON_ENSURE_ASCII), *next;
    size_t before = listing->count;

    must(listing_add_page(listing, ACCOUNT, TO, text, strlen(text), &next));
    must(listing->count == before);
    free(next);
    free(text);
    json_decref(json);
}

static bool read_page(struct listing *listing, const char *page, size_t length)
{
    char *exact = fuzz_exact(page, length), *next;
    bool good = listing_add_page(listing, ACCOUNT, TO, exact, length, &next);

    must(good || next == NULL);
    must(next == NULL || strncmp(next, PATH, strlen(PATH)) == 0);
    must(next == NULL || fuzz_is_utf8(next, strlen(next)));
    if (good)
        check_again(listing, page, length);
    check_listed(listing);
    free(next);
    free(exact);
    return good;
}

/* A piece for each attempt: its flags, then a body. */
static size_t read_sought(const struct fuzz_input *input, struct sought *sought)
{
    size_t count = 0;

    for (int i = 1; i < input->count && count < SOUGHT; i++) {
        const char *flags = fuzz_text(input, i);
        size_t length = strspn(flags, "abcdefgh");

        if (!fuzz_is_utf8(flags, strlen(flags)))
            continue; /* what was sent is */
        sought[count++] = (struct sought){
            .to = TO,
            .from = memchr(flags, 'a', length) != NULL ? NULL : "+16824246644",
            .messaging_service_sid =
                memchr(flags, 'b', length) != NULL ? "MG0123456789abcdef0123456789abcdef" : NULL,
            .body = flags + length + (flags[length] == ' '),
            .media = memchr(flags, 'c', length) != NULL ? "http://a/1" : "",
            .links_shortened = memchr(flags, 'd', length) != NULL,
            .body_discarded = memchr(flags, 'e', length) != NULL,
            .others_known = memchr(flags, 'f', length) != NULL,
            .created_from = HOUR + (memchr(flags, 'g', length) != NULL ? 1800 * SECOND : 0),
            .created_until = HOUR + 3600 * SECOND,
            .settled_by = HOUR + 3500 * SECOND,
            .witness =
                memchr(flags, 'h', length) != NULL ? "MM0123456789abcdef0123456789abcdee" : NULL,
        };
    }
    return count;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Twilio may have kept no body, and then it may be any that can be seen. */
static bool may_be(const struct listed *m, const struct sought *s)
{
    return strcmp(m->body, s->body) == 0 ||
           (m->body[0] == '\0' && fuzz_matches("[0-9A-Za-z]", s->body));
}

/* What is said to be absent isn't there, as far as anyone can see who compares bytes. */
static void check_absent(const struct listing *listing, const struct sought *s)
{
    bool seen = s->witness == NULL;

    for (size_t i = 0; i < listing->count; i++) {
        const struct listed *m = &listing->messages[i];

        seen = seen || strcmp(m->sid, s->witness) == 0;
        must(m->taken || m->created_at < s->created_from || m->created_at > s->created_until ||
             !same(m->from, s->from) || !same(m->messaging_service_sid, s->messaging_service_sid) ||
             !may_be(m, s));
    }
    must(seen);
}

static void check_found(const struct sought *s, const struct sought *all, size_t count)
{
    must(s->message->taken);
    must(s->message->created_at >= s->created_from && s->message->created_at <= s->created_until);
    must(s->message->created_at <= s->settled_by);
    must(s->messaging_service_sid != NULL || same(s->from, s->message->from));
    must(same(s->messaging_service_sid, s->message->messaging_service_sid) ||
         s->messaging_service_sid == NULL);
    for (size_t i = 0; i < count; i++)
        must(&all[i] == s || all[i].finding != SOUGHT_FOUND || all[i].message != s->message);
}

static void check_match(struct listing *listing, const struct fuzz_input *input)
{
    struct sought sought[SOUGHT];
    size_t count = read_sought(input, sought);
    bool *taken = mem_zalloc(listing->count + 1);

    for (size_t i = 0; i < listing->count; i++)
        taken[i] = listing->messages[i].taken = listing->messages[i].created_at / SECOND % 60 == 59;
    lookup_match(listing, sought, count);
    for (size_t i = 0; i < count; i++) {
        const struct sought *s = &sought[i];

        if (s->finding == SOUGHT_ABSENT) {
            check_absent(listing, s);
        } else if (s->finding == SOUGHT_FOUND) {
            check_found(s, sought, count);
            must(!taken[s->message - listing->messages]);
        } else {
            must(fuzz_is_line(s->why, sizeof s->why));
        }
    }
    free(taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct listing listing = {.created_from = HOUR};
    struct fuzz_input input;

    fuzz_split(data, size, &input);
    if (read_page(&listing, fuzz_text(&input, 0), input.lengths[0]))
        check_match(&listing, &input);
    listing_release(&listing);
    fuzz_release(&input);
    return 0;
}
