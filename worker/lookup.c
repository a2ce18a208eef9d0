#include "worker/lookup.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "worker/limits.h"
#include "worker/outcome.h"

/* What Twilio puts before the body of messages of trial accounts. */
#define TRIAL_PREFIX "Sent from your Twilio trial account - "

#define BODY_MAX_BYTES ((size_t)64 << 10)
/* Between the time of sending that sorts the list and the clock of another of Twilio's machines. */
#define ORDER_SLACK (60 * CLOCK_SECOND)

/* ---- asking ---- */

static char *list_path(const char *account_sid)
{
    return mem_printf("/2010-04-01/Accounts/%s/Messages.json?", account_sid);
}

char *lookup_path(const char *account_sid, const char *to)
{
    char *escaped = curl_easy_escape(NULL, to, (int)strlen(to));
    char *list = list_path(account_sid);
    char *path =
        mem_printf("%sTo=%s&PageSize=%d", list, escaped != NULL ? escaped : "", LOOKUP_PAGE_SIZE);

    curl_free(escaped);
    free(list);
    return path;
}

/* ---- bodies ---- */

/*
 * Twilio's Smart Encoding, on by default in messaging services, replaces characters outside GSM-7
 * by what looks like them. Both sides are folded in the same way before they are compared.
 */
static const struct {
    const char *from, *to;
} smart_encoding[] = {
    {"\u00ab", "\""}, {"\u00bb", "\""}, {"\u201c", "\""}, {"\u201d", "\""}, {"\u201e", "\""},
    {"\u201f", "\""}, {"\u02ba", "\""}, {"\u02ee", "\""}, {"\u2033", "\""}, {"\u2036", "\""},
    {"\u2018", "'"},  {"\u2019", "'"},  {"\u201b", "'"},  {"\u2032", "'"},  {"\u2035", "'"},
    {"\u02bb", "'"},  {"\u02bc", "'"},  {"\u02bd", "'"},  {"\u02c8", "'"},  {"\u02ca", "'"},
    {"\u02cb", "'"},  {"\u0060", "'"},  {"\u00b4", "'"},  {"\u2039", "<"},  {"\u203a", ">"},
    {"\u201a", ","},  {"\u2010", "-"},  {"\u2011", "-"},  {"\u2012", "-"},  {"\u2013", "-"},
    {"\u2014", "-"},  {"\u2015", "-"},  {"\u2043", "-"},  {"\u2212", "-"},  {"\u2026", "..."},
    {"\u2044", "/"},  {"\u00f7", "/"},  {"\u2215", "/"},  {"\u02c6", "^"},  {"\u02dc", "~"},
    {"\u2217", "*"},  {"\u204e", "*"},  {"\u2024", "."},  {"\u203c", "!!"}, {"\u00a0", " "},
    {"\u2000", " "},  {"\u2001", " "},  {"\u2002", " "},  {"\u2003", " "},  {"\u2004", " "},
    {"\u2005", " "},  {"\u2006", " "},  {"\u2007", " "},  {"\u2008", " "},  {"\u2009", " "},
    {"\u200a", " "},  {"\u202f", " "},  {"\u205f", " "},  {"\u3000", " "},  {"\u200b", ""},
    {"\u200c", ""},   {"\u200d", ""},   {"\u2060", ""},   {"\ufeff", ""},   {"\u00ad", ""},
    {"\r\n", "\n"},   {"\u2028", "\n"}, {"\u2029", "\n"}, {"\t", " "},
};

static bool fold_one(const char **text, struct buf *out)
{
    /* What the characters above begin with; nearly nothing does. */
    if (strchr("`\r\t\xc2\xc3\xca\xcb\xe2\xe3\xef", **text) == NULL)
        return false;
    for (size_t i = 0; i < sizeof smart_encoding / sizeof smart_encoding[0]; i++) {
        size_t length = strlen(smart_encoding[i].from);

        if (strncmp(*text, smart_encoding[i].from, length) == 0) {
            buf_add_string(out, smart_encoding[i].to);
            *text += length;
            return true;
        }
    }
    return false;
}

/* The body as it is compared; owned by the caller. */
static char *fold(const char *body)
{
    struct buf out;

    buf_init(&out, BODY_MAX_BYTES);
    for (const char *text = body; *text != '\0';) {
        if (!fold_one(&text, &out))
            buf_add_char(&out, *text++);
    }
    while (out.length > 0 && strchr(" \n", out.data[out.length - 1]) != NULL)
        out.data[--out.length] = '\0';
    return buf_detach(&out);
}

static bool same_body(const char *body, const char *listed)
{
    size_t prefix = strlen(TRIAL_PREFIX);

    return strcmp(body, listed) == 0 ||
           (strncmp(listed, TRIAL_PREFIX, prefix) == 0 && strcmp(body, listed + prefix) == 0);
}

/* What a URL can have in it (RFC 3986); the first other character is behind it. */
#define URL_CHARACTERS                                               \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" \
    "-._~:/?#[]@!$&'()*+,;=%"
/* In place of each link; a body can only have that where it has a link. */
#define LINK_MARK "http://"

static bool is_link(const char *text)
{
    return strncasecmp(text, "http://", strlen("http://")) == 0 ||
           strncasecmp(text, "https://", strlen("https://")) == 0;
}

/* The first link in `text`; its end if there is none. */
static const char *find_link(const char *text)
{
    text += strcspn(text, "hH");
    while (*text != '\0' && !is_link(text)) {
        text++;
        text += strcspn(text, "hH");
    }
    return text;
}

/*
 * A folded body with a mark for each of its links; owned by the caller. Twilio's Link Shortening
 * puts others in their place, on a domain that we don't know.
 */
static char *without_links(const char *body)
{
    const char *link;
    struct buf out;

    buf_init(&out, BODY_MAX_BYTES);
    while (*(link = find_link(body)) != '\0') {
        buf_add(&out, body, (size_t)(link - body));
        buf_add_string(&out, LINK_MARK);
        body = link + strspn(link, URL_CHARACTERS);
    }
    buf_add_string(&out, body);
    return buf_detach(&out);
}

/* ---- a page ---- */

/* 0 if there is none. */
static int64_t read_date(const json_t *message, const char *name)
{
    return clock_parse_date(json_member_string(message, name));
}

static char *copy_member(const json_t *message, const char *name)
{
    const char *text = json_member_string(message, name);

    return text != NULL ? mem_strdup(text) : NULL;
}

static struct listed *new_listed(struct listing *listing)
{
    struct listed *listed;

    if (listing->count == listing->capacity) {
        listing->capacity = listing->capacity > 0 ? listing->capacity * 2 : 64;
        listing->messages =
            mem_realloc(listing->messages, listing->capacity * sizeof *listing->messages);
    }
    listed = &listing->messages[listing->count++];
    *listed = (struct listed){.created_at = 0};
    return listed;
}

/* The list may have moved on between two pages, which then have some messages in common. */
static bool is_listed(const struct listing *listing, const char *sid)
{
    size_t first = listing->count > 2 * (size_t)LOOKUP_PAGE_SIZE
                       ? listing->count - 2 * (size_t)LOOKUP_PAGE_SIZE
                       : 0;

    for (size_t i = first; i < listing->count; i++) {
        if (strcmp(listing->messages[i].sid, sid) == 0)
            return true;
    }
    return false;
}

static void list_message(struct listing *listing, const json_t *message, const char *sid,
                         int64_t created)
{
    const char *status = json_member_string(message, "status");
    const char *body = json_member_string(message, "body");
    struct listed *listed = new_listed(listing);

    snprintf(listed->sid, sizeof listed->sid, "%s", sid);
    if (status != NULL && outcome_is_message_status(status))
        snprintf(listed->status, sizeof listed->status, "%s", status);
    listed->created_at = created;
    listed->from = copy_member(message, "from");
    listed->messaging_service_sid = copy_member(message, "messaging_service_sid");
    listed->body = fold(body != NULL ? body : "");
    if (*find_link(listed->body) != '\0')
        listed->linkless = without_links(listed->body);
    listing->bytes += sizeof *listed + strlen(listed->body) +
                      (listed->linkless != NULL ? strlen(listed->linkless) : 0);
}

/* False for what can't be judged: then nothing can be said about absence either. */
static bool add_message(struct listing *listing, const char *to, const json_t *message)
{
    const char *sid = json_member_string(message, "sid");
    const char *its_to = json_member_string(message, "to");
    const char *direction = json_member_string(message, "direction");
    int64_t created = read_date(message, "date_created");

    listing->sent_last = read_date(message, "date_sent");
    /* A phone that is a number of the account itself has what it received listed as well. */
    if (direction != NULL && strcmp(direction, "inbound") == 0)
        return true;
    /* Another `to` than was asked for is ours in a spelling that we don't know. */
    if (sid == NULL || !outcome_is_message_sid(sid) || its_to == NULL || strcmp(its_to, to) != 0 ||
        created == 0)
        return false;
    if (created >= listing->created_from && !is_listed(listing, sid))
        list_message(listing, message, sid, created);
    return true;
}

/* The credentials go with the request: only the same list's next page is asked for. */
static bool read_next(const json_t *page, const char *account_sid, char **ret_next)
{
    const json_t *member = json_object_get(page, "next_page_uri");
    const char *next = json_string_value(member);
    char *list = list_path(account_sid);
    bool good = json_is_null(member) || (next != NULL && strncmp(next, list, strlen(list)) == 0);

    if (good && next != NULL)
        *ret_next = mem_strdup(next);
    free(list);
    return good;
}

bool listing_add_page(struct listing *listing, const char *account_sid, const char *to,
                      const char *json, size_t length, char **ret_next)
{
    json_t *page = NULL;
    const json_t *messages, *message;
    bool good;
    size_t i, depth;

    *ret_next = NULL;
    listing->sent_last = 0;
    if (json_count(json, length, &depth) <= LIMIT_PAGE_VALUES)
        json_parse(json, length, &page, NULL, 0);
    messages = json_member(page, "messages");
    good = json_is_array(messages);
    if (good) {
        json_array_foreach((json_t *)messages, i, message)
        {
            good = good && add_message(listing, to, message);
        }
        good = good && read_next(page, account_sid, ret_next);
    }
    json_decref(page);
    return good;
}

bool listing_may_go_on(const struct listing *listing)
{
    return listing->sent_last == 0 || listing->sent_last >= listing->created_from - ORDER_SLACK;
}

void listing_take(struct listing *listing, const char *sid)
{
    for (size_t i = 0; i < listing->count; i++) {
        if (strcmp(listing->messages[i].sid, sid) == 0)
            listing->messages[i].taken = true;
    }
}

void listing_release(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        free(listing->messages[i].from);
        free(listing->messages[i].messaging_service_sid);
        free(listing->messages[i].body);
        free(listing->messages[i].linkless);
    }
    free(listing->messages);
    *listing = (struct listing){.count = 0};
}

/* ---- matching ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* With a messaging service Twilio chooses the sender, and shows none until it has. */
static bool same_sender(const struct sought *sought, const struct listed *listed)
{
    if (sought->messaging_service_sid == NULL)
        return same_text(sought->from, listed->from);
    return same_text(sought->messaging_service_sid, listed->messaging_service_sid) &&
           (sought->from == NULL || listed->from == NULL ||
            strcmp(sought->from, listed->from) == 0);
}

static bool in_window(const struct sought *sought, const struct listed *listed)
{
    return listed->created_at >= sought->created_from &&
           listed->created_at <= sought->created_until;
}

/* The attempts of one kind: those that would have made equal messages. */
struct kind {
    struct sought **sought;
    size_t count;
    size_t candidates, found;
    bool early; /* a message was given to nobody because not all others are known */
};

static bool matches(const struct sought *sought, const struct listed *listed)
{
    bool linkless = sought->links_shortened && listed->linkless != NULL;

    return same_body(sought->compared, linkless ? listed->linkless : listed->body);
}

/* A message that matches but for its links may be given only if nobody else can turn up for it. */
static bool may_be_given(const struct sought *sought, const struct listed *listed)
{
    return sought->others_known || same_body(sought->folded, listed->body);
}

/* The attempt that `listed` is given to: of those still without one, whose window ends first. */
static struct sought *choose(const struct kind *kind, const struct listed *listed)
{
    struct sought *best = NULL;

    for (size_t i = 0; i < kind->count; i++) {
        struct sought *sought = kind->sought[i];

        if (sought->finding != SOUGHT_FOUND && in_window(sought, listed) &&
            listed->created_at <= sought->settled_by && may_be_given(sought, listed) &&
            (best == NULL || sought->created_until < best->created_until))
            best = sought;
    }
    return best;
}

static bool in_any_window(const struct kind *kind, const struct listed *listed)
{
    for (size_t i = 0; i < kind->count; i++) {
        if (in_window(kind->sought[i], listed))
            return true;
    }
    return false;
}

static void consider(struct kind *kind, const struct listed *listed)
{
    struct sought *sought;

    if (listed->taken || !same_sender(kind->sought[0], listed) || !in_any_window(kind, listed) ||
        !matches(kind->sought[0], listed))
        return;
    kind->candidates++;
    sought = choose(kind, listed);
    if (sought != NULL) {
        sought->finding = SOUGHT_FOUND;
        sought->message = listed;
        kind->found++;
    }
    kind->early = kind->early || !may_be_given(kind->sought[0], listed);
}

static bool media_differ(const struct kind *kind)
{
    for (size_t i = 1; i < kind->count; i++) {
        if (strcmp(kind->sought[0]->media, kind->sought[i]->media) != 0)
            return true;
    }
    return false;
}

static bool links_differ(const struct kind *kind)
{
    for (size_t i = 1; i < kind->count; i++) {
        if (strcmp(kind->sought[0]->folded, kind->sought[i]->folded) != 0)
            return true;
    }
    return false;
}

static void undecided(struct sought *sought, const char *why)
{
    sought->finding = SOUGHT_UNDECIDED;
    sought->message = NULL;
    snprintf(sought->why, sizeof sought->why, "%s", why);
}

static void all_undecided(const struct kind *kind, const char *why)
{
    for (size_t i = 0; i < kind->count; i++)
        undecided(kind->sought[i], why);
}

static void match_kind(struct listing *listing, struct listed **by_age, struct kind *kind)
{
    char why[160];

    for (size_t i = 0; i < listing->count; i++)
        consider(kind, by_age[i]);
    if (kind->candidates > kind->found && kind->early) {
        all_undecided(kind, "a message at Twilio matches but for its links, and may be another "
                            "attempt's that was not looked up yet");
    } else if (kind->candidates > kind->found) {
        snprintf(why, sizeof why,
                 "%zu messages at Twilio match and belong to no attempt yet; %zu of ours are "
                 "unknown",
                 kind->candidates, kind->count);
        all_undecided(kind, why);
    } else if (kind->found > 0 && kind->found < kind->count && media_differ(kind)) {
        all_undecided(kind, "attempts with equal bodies and different media can't be told apart");
    } else if (kind->found > 0 && kind->found < kind->count && links_differ(kind)) {
        all_undecided(kind, "attempts whose bodies differ in their links can't be told apart");
    }
    for (size_t i = 0; i < kind->count; i++) {
        if (kind->sought[i]->finding == SOUGHT_FOUND)
            listing_take(listing, kind->sought[i]->message->sid);
    }
}

/* ---- doubts ---- */

/*
 * The length of the character at `text` if it is one that no encoding replaces by another: ASCII
 * letters and digits, and other scripts' letters; otherwise 0, as for accents, marks and emoji.
 */
static size_t plain_length(const char *text)
{
    unsigned char c = (unsigned char)text[0];

    if (c < 0x80)
        return isalnum(c) ? 1 : 0;
    if (c >= 0xcd && c <= 0xdf)
        return 2; /* U+0340 to U+07FF: Greek, Cyrillic, Hebrew, Arabic */
    if (c >= 0xe0 && c <= 0xed && c != 0xe2)
        return 3; /* Indic, Thai, Chinese, Japanese, Korean; not U+2000 to U+2FFF */
    return 0;
}

/* What of a body no encoding replaces; owned by the caller. */
static char *plain(const char *body)
{
    struct buf out;

    buf_init(&out, BODY_MAX_BYTES);
    while (*body != '\0') {
        size_t length = plain_length(body);

        buf_add(&out, body, length);
        body += length > 0 ? length : 1;
    }
    return buf_detach(&out);
}

/*
 * Whether `body` may have become `listed` by an alteration that we don't know: what is plain in it
 * is the same, or goes on behind it (a link that was appended).
 */
static bool similar_body(const char *body, const char *listed)
{
    size_t prefix = strlen(TRIAL_PREFIX);
    char *ours, *theirs;
    bool similar;

    if (strncmp(listed, TRIAL_PREFIX, prefix) == 0)
        listed += prefix;
    ours = plain(body);
    theirs = plain(listed);
    /* Letters that an encoding doesn't have may have become question marks. */
    similar = strncmp(ours, theirs, strlen(ours)) == 0 ||
              (theirs[0] == '\0' && ((unsigned char)ours[0] & 0x80) != 0);
    free(ours);
    free(theirs);
    return similar;
}

/* A body that isn't kept may be anybody's; of one with short links the beginning has to do. */
static bool may_be(const struct sought *sought, const struct listed *listed)
{
    if (listed->body[0] == '\0')
        return sought->folded[0] != '\0';
    return similar_body(sought->beginning, listed->body);
}

static const char *doubt_about(const struct sought *sought, const struct listed *listed)
{
    if (sought->body_discarded && listed->body[0] == '\0')
        return "a message at Twilio may be it; the destination has bodies discarded, so that "
               "can't be told";
    return "a message at Twilio may be it, with its body altered";
}

/* Absence is only what surely is. */
static void doubt(const struct listing *listing, struct sought *sought)
{
    bool seen = sought->witness == NULL;

    for (size_t i = 0; i < listing->count && sought->finding == SOUGHT_ABSENT; i++) {
        const struct listed *listed = &listing->messages[i];

        seen = seen || strcmp(listed->sid, sought->witness) == 0;
        if (!listed->taken && in_window(sought, listed) && same_sender(sought, listed) &&
            may_be(sought, listed))
            undecided(sought, doubt_about(sought, listed));
    }
    if (sought->finding == SOUGHT_ABSENT && !seen)
        undecided(sought, "Twilio's list lacks a message that is known to be there");
}

/* ---- all of it ---- */

static int compare_age(const void *a, const void *b)
{
    const struct listed *const *x = a, *const *y = b;

    /* Of the same second: lists have the newest first. */
    if ((*x)->created_at == (*y)->created_at)
        return (*x < *y) - (*x > *y);
    return (*x)->created_at > (*y)->created_at ? 1 : -1;
}

/* The messages, oldest first; owned by the caller. */
static struct listed **sort_by_age(const struct listing *listing)
{
    struct listed **by_age = mem_zalloc((listing->count + 1) * sizeof(struct listed *));

    for (size_t i = 0; i < listing->count; i++)
        by_age[i] = &listing->messages[i];
    qsort(by_age, listing->count, sizeof(struct listed *), compare_age);
    return by_age;
}

static bool same_kind(const struct sought *a, const struct sought *b)
{
    return same_text(a->from, b->from) &&
           same_text(a->messaging_service_sid, b->messaging_service_sid) &&
           a->links_shortened == b->links_shortened && strcmp(a->compared, b->compared) == 0;
}

static void prepare(struct sought *sought)
{
    const char *link;

    sought->finding = SOUGHT_ABSENT;
    sought->folded = fold(sought->body);
    link = find_link(sought->folded);
    /* Without a link it is of one kind with those that Twilio was not asked to shorten. */
    sought->links_shortened = sought->links_shortened && *link != '\0';
    if (sought->links_shortened) {
        sought->compared = without_links(sought->folded);
        sought->beginning = mem_copy(sought->folded, (size_t)(link - sought->folded));
    } else {
        sought->compared = mem_strdup(sought->folded);
        sought->beginning = mem_strdup(sought->folded);
    }
}

static void tidy(struct sought *sought)
{
    free(sought->folded);
    free(sought->compared);
    free(sought->beginning);
}

/* Matches the attempts with, or those without, shortened links. */
static void match_kinds(struct listing *listing, struct listed **by_age, struct sought *sought,
                        size_t count, bool links_shortened)
{
    struct sought **members = mem_zalloc((count + 1) * sizeof *members);
    bool *done = mem_zalloc((count + 1) * sizeof *done);

    for (size_t i = 0; i < count; i++) {
        struct kind kind = {.sought = members};

        if (done[i] || sought[i].links_shortened != links_shortened)
            continue;
        for (size_t j = i; j < count; j++) {
            if (same_kind(&sought[i], &sought[j])) {
                kind.sought[kind.count++] = &sought[j];
                done[j] = true;
            }
        }
        match_kind(listing, by_age, &kind);
    }
    free(members);
    free(done);
}

void lookup_match(struct listing *listing, struct sought *sought, size_t count)
{
    struct listed **by_age = sort_by_age(listing);

    for (size_t i = 0; i < count; i++)
        prepare(&sought[i]);
    /* The very body says more than one that is the same but for its links. */
    match_kinds(listing, by_age, sought, count, false);
    match_kinds(listing, by_age, sought, count, true);
    for (size_t i = 0; i < count; i++) {
        doubt(listing, &sought[i]);
        tidy(&sought[i]);
    }
    free(by_age);
}
