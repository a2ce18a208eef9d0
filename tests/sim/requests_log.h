/*
 * The log of every request to the Twilio API, in order of arrival in full. Compact: an entry is one
 * block that holds the raw request; fields are taken apart again only when somebody asks.
 */
#ifndef SIM_REQUESTS_LOG_H
#define SIM_REQUESTS_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "http_server.h"
#include "store.h"

struct log_entry {
    int64_t arrived_at; /* nanoseconds since 1970 */
    uint32_t connection, nth;
    uint32_t body_len;
    uint16_t status;  /* 0: nothing was answered */
    uint16_t path_at; /* offsets into data; the method is at 0 */
    uint32_t query_at, account_at, user_at, body_at;
    const char *fault;              /* a literal or NULL */
    char sid[STORE_SID_LENGTH + 1]; /* "" when nothing was stored */
    char data[];                    /* method, path, query, account, user, body, each with a NUL */
};

struct requests_log;

struct requests_log *requests_log_new(void);
void requests_log_free(struct requests_log *log);

/* Adds an entry and returns its handle, which is never used again for another one. `account` and
 * `user` are "" when not known. Passwords are not taken. */
uint64_t requests_log_add(struct requests_log *log, const struct http_request *req,
                          const char *account, const char *user);
/* Later news about an entry. An entry that has been cleared in the meantime is left alone. */
void requests_log_set_fault(struct requests_log *log, uint64_t handle, const char *fault);
void requests_log_set_sid(struct requests_log *log, uint64_t handle, const char *sid);
/* Also counts the status. */
void requests_log_set_status(struct requests_log *log, uint64_t handle, int status);

/* Drops all entries; numbers go on. */
void requests_log_clear(struct requests_log *log);
/* Drops all entries and counts; numbers start at 1 again. */
void requests_log_reset(struct requests_log *log);

/* Entries are numbered from 1. The first number kept and the number after the last; equal when
 * empty. */
uint64_t requests_log_first(const struct requests_log *log);
uint64_t requests_log_end(const struct requests_log *log);
/* The entry with number `n`, which must be in [first, end). */
const struct log_entry *requests_log_get(const struct requests_log *log, uint64_t n);

/* Requests since the last reset, cleared or not. */
uint64_t requests_log_total(const struct requests_log *log);
/* How many answers had `status` (0 to 999) since the last reset. */
uint64_t requests_log_count_status(const struct requests_log *log, int status);

#endif
