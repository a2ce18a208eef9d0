#ifndef WORKER_STATUS_H
#define WORKER_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redact.h"

/*
 * What Twilio says later about a message that it took: the page "Outbound message status" has the
 * names. Without I/O.
 */

#define STATUS_SID_SIZE  35
#define STATUS_NAME_SIZE 32

/* How we learned it. */
enum status_source { STATUS_CALLBACK, STATUS_POLL };

/* One report of a message's status. Strings are owned and valid UTF-8; NULL if not said. */
struct status {
    /* The attempt that made the message. */
    char *destination_id;
    int64_t delivery_id;
    int attempt;

    enum status_source source;
    char account_sid[STATUS_SID_SIZE];
    char message_sid[STATUS_SID_SIZE];
    char *signers; /* as accounts_signers() has it, of the token that signed it; NULL if we asked */
    char name[STATUS_NAME_SIZE]; /* "sent", "delivered", … or one that we don't know */
    int error_code;              /* 0: none */
    char *error_message;
    char *from, *to, *messaging_service_sid;
    char *parameters; /* JSON object of everything that was said, as text */
    struct status *next;
};

/*
 * Where a status stands in a message's life: a message never goes back to a lower rank, nor to
 * another of the same. Twilio adds names without notice: one that we don't know stands behind all
 * but the final ones.
 */
int status_rank(const char *name);

/* Whether a message stays in this status: nothing more is said about it. */
bool status_is_final(const char *name);

/* Takes secrets out of what was said. */
void status_redact(struct status *status, const struct redactor *redactor);

/*
 * What a stranger said, as valid UTF-8 of LIMIT_STATUS_TEXT_BYTES at most; owned. NULL stays NULL,
 * and so becomes what is empty.
 */
char *status_text(const char *text);

/* What one takes of memory, by and large. */
size_t status_bytes(const struct status *status);

/* Frees one. */
void status_free(struct status *status);

#endif
