#ifndef WORKER_LOOKUP_H
#define WORKER_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What Twilio says it has: the list of messages to a phone, and which of them an attempt made whose
 * answer never came. Twilio gives a message no mark of ours, so it is told by recipient, sender,
 * body and time of creation. Without I/O. Times are Twilio's clock, in microseconds since 1970.
 */

/* A message as Twilio lists it. Strings are owned; they may be NULL. */
struct listed {
    char sid[40];
    char status[32];
    int64_t created_at; /* whole seconds */
    char *from;
    char *messaging_service_sid;
    char *body;     /* as bodies are compared */
    char *linkless; /* and the same with one mark in place of each link; NULL if it has none */
    bool taken;     /* belongs to an attempt */
};

struct listing {
    struct listed *messages;
    size_t count, capacity;
    size_t bytes;         /* what is kept of them, by and large */
    int64_t created_from; /* older ones are not kept */
    int64_t sent_last;    /* when the last message of the last page was sent; 0: that isn't said */
};

/* What an attempt would have made, and what was found out. */
struct sought {
    const char *to;
    const char *from;                  /* NULL if there was none */
    const char *messaging_service_sid; /* NULL if there was none */
    const char *body;
    const char *media;    /* all its media URLs in one string */
    bool links_shortened; /* Twilio was asked to put others in place of its links */
    bool body_discarded;  /* Twilio was asked not to keep its body */
    /*
     * Every attempt that may have made a message in the window was looked up at least once, so
     * that it is sought as well if it is unknown. Until then a body that is the same but for its
     * links may be another attempt's: only attempts with the very same body are always sought
     * together.
     */
    bool others_known;
    int64_t created_from, created_until;
    int64_t settled_by;  /* a message made later may be an attempt's under way */
    const char *witness; /* SID of a message that must be listed; NULL: none is known */
    enum { SOUGHT_ABSENT, SOUGHT_FOUND, SOUGHT_UNDECIDED } finding;
    const struct listed *message;        /* SOUGHT_FOUND */
    char why[160];                       /* SOUGHT_UNDECIDED: one line */
    char *folded, *compared, *beginning; /* lookup_match()'s own */
};

/* Messages of one page: as many as are read at once. */
#define LOOKUP_PAGE_SIZE 200

/* The path of an account's list of messages to `to`, first page. Owned by the caller. */
char *lookup_path(const char *account_sid, const char *to);

/*
 * Adds a page of the list of messages to `to` (Twilio's JSON). False if it isn't one that can be
 * relied on. *ret_next is the path of the next page, owned by the caller; NULL if this was the
 * last.
 */
bool listing_add_page(struct listing *listing, const char *account_sid, const char *to,
                      const char *json, size_t length, char **ret_next);

/*
 * Whether pages beyond the last one can have messages that are not too old: the list is sorted by
 * the time of sending, newest first, and no message is sent before it is made.
 */
bool listing_may_go_on(const struct listing *listing);

/* Marks the message of this SID, if it is listed, as some attempt's. */
void listing_take(struct listing *listing, const char *sid);

void listing_release(struct listing *listing);

/*
 * Finds what was sought, all to one phone, among the messages that are not taken. Attempts to make
 * equal messages are matched one to one, in the order of time. What is nearly equal, too young, or
 * more than there are attempts leaves it undecided: absent is only what surely is. Where Twilio
 * shortens links, bodies are the same if they are so but for their links. `listing` must outlive
 * `sought`.
 */
void lookup_match(struct listing *listing, struct sought *sought, size_t count);

#endif
