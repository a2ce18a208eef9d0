/*
 * The messages that Twilio would have, in memory: by SID, by account, and by account and To, so
 * that listing one recipient's messages costs the same however many others there are.
 *
 * What a message was created with (`to`, `body`) stays for the tests' bookkeeping, whatever Twilio
 * is told to forget of it. A deleted message keeps its place (page tokens refer to it) and is
 * passed over from then on.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map.h"
#include "rng.h"
#include "wall.h"

enum { STORE_SID_LENGTH = 34 };

/* The number that every messaging service sends from. */
#define STORE_SERVICE_SENDER "+15005550006"

struct callback;

struct message {
    uint64_t seq; /* its place in the order of adding */
    char sid[STORE_SID_LENGTH + 1];
    bool deleted;
    int64_t created_at;  /* nanoseconds since 1970 */
    int64_t updated_at;  /* the same */
    int64_t sent_at;     /* the same; 0 while it is not sent */
    int num_segments;    /* not told while "accepted": a messaging service does not know yet */
    int error_code;      /* 0: none */
    char *error_message; /* NULL: none; owned, as all below */
    char *status;
    char *account;
    char *to;
    char *from;       /* NULL until a messaging service has chosen a sender */
    char *service;    /* MessagingServiceSid or NULL */
    char *body;       /* "" without one */
    char *shown_to;   /* what Twilio tells in place of `to`; NULL: the same */
    char *shown_body; /* likewise for `body` */
    char *callback;   /* StatusCallback or NULL */
    char **media;
    size_t media_count;
    struct callback *last_callback; /* of callbacks.c: the one to wait for; NULL: none */
};

/* Messages in order of creation (by created_at; of the same moment, in the order of adding). */
struct message_list {
    struct message **items;
    size_t count;
    size_t cap;
};

struct store;

/* `wall`, borrowed, is the clock that messages get their times from. */
struct store *store_new(const struct wall *wall);
void store_free(struct store *s);
/* Forgets every message. */
void store_reset(struct store *s);

/* Puts a message in; the store owns it from now on. It must come from store_draft; `seq` is set
 * here. */
void store_add(struct store *s, struct message *m);
/* A new message with a SID (`prefix` is "MM" or "SM"), times set, all else empty. */
struct message *store_draft(struct store *s, const char *prefix);
/* Gives a message another status just now, and with it an error (0 and NULL: none). A messaging
 * service has chosen its sender when its message is no longer "accepted". */
void store_move(const struct store *s, struct message *m, const char *status, int error_code,
                const char *error_message);
/* Takes the body out of what Twilio tells. */
void store_redact(const struct store *s, struct message *m);
const char *message_shown_to(const struct message *m);
const char *message_shown_body(const struct message *m);
/* Frees a draft that is not to be added. */
void store_discard(struct message *m);

/* The message, or NULL if there is none (or not any more). */
struct message *store_find(const struct store *s, const char *account, const char *sid);
/* As store_find, in any account. */
struct message *store_find_sid(const struct store *s, const char *sid);
/* As store_find, but finds deleted ones too. */
const struct message *store_find_any(const struct store *s, const char *account, const char *sid);
/* How many there are, without the deleted. */
size_t store_count(const struct store *s);
void store_delete(struct store *s, struct message *m);

/* Lists to read from; never NULL. Borrowed until the next store_add. `to`, as Twilio shows it, may
 * be NULL: all of the account. */
const struct message_list *store_list(const struct store *s, const char *account, const char *to);
const struct message_list *store_list_all(const struct store *s);
/* Whether `a` stands before `b` in lists. */
bool store_before(const struct message *a, const struct message *b);

#endif
