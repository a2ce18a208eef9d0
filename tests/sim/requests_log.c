#include "requests_log.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

enum { STATUSES = 1000 };

struct requests_log {
    struct log_entry **entries;
    size_t count, cap;
    uint64_t first_handle; /* the handle of entries[0]; handles only ever grow */
    uint64_t base;         /* number = handle - base */
    uint64_t by_status[STATUSES];
};

struct requests_log *requests_log_new(void)
{
    struct requests_log *log = text_alloc_zeroed(sizeof(*log));

    log->first_handle = 1;
    return log;
}

void requests_log_clear(struct requests_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        free(log->entries[i]);
    free(log->entries);
    log->entries = NULL;
    log->first_handle += log->count;
    log->count = 0;
    log->cap = 0;
}

void requests_log_reset(struct requests_log *log)
{
    requests_log_clear(log);
    log->base = log->first_handle - 1;
    memset(log->by_status, 0, sizeof(log->by_status));
}

void requests_log_free(struct requests_log *log)
{
    requests_log_clear(log);
    free(log);
}

/* Copies `len` bytes and a NUL to *end and moves it on. Returns where they went. */
static uint32_t put(struct log_entry *e, char **end, const char *bytes, size_t len)
{
    uint32_t at = (uint32_t)(*end - e->data);

    memcpy(*end, bytes, len);
    (*end)[len] = '\0';
    *end += len + 1;
    return at;
}

static struct log_entry *make_entry(const struct http_request *req, const char *account,
                                    const char *user)
{
    size_t size = strlen(req->method) + strlen(req->path) + strlen(req->query) + strlen(account) +
                  strlen(user) + req->body_len + 6;
    struct log_entry *e = text_realloc(NULL, sizeof(*e) + size);
    char *end = e->data;

    *e = (struct log_entry){.arrived_at = req->arrived_at,
                            .connection = req->connection,
                            .nth = req->nth,
                            .body_len = (uint32_t)req->body_len};
    put(e, &end, req->method, strlen(req->method));
    e->path_at = (uint16_t)put(e, &end, req->path, strlen(req->path));
    e->query_at = put(e, &end, req->query, strlen(req->query));
    e->account_at = put(e, &end, account, strlen(account));
    e->user_at = put(e, &end, user, strlen(user));
    e->body_at = put(e, &end, req->body, req->body_len);
    return e;
}

uint64_t requests_log_add(struct requests_log *log, const struct http_request *req,
                          const char *account, const char *user)
{
    if (log->count == log->cap) {
        log->cap = log->cap == 0 ? 1024 : log->cap * 2;
        log->entries = text_realloc(log->entries, log->cap * sizeof(struct log_entry *));
    }
    log->entries[log->count++] = make_entry(req, account, user);
    return log->first_handle + log->count - 1;
}

static struct log_entry *find(struct requests_log *log, uint64_t handle)
{
    if (handle < log->first_handle || handle - log->first_handle >= log->count)
        return NULL;
    return log->entries[handle - log->first_handle];
}

void requests_log_set_fault(struct requests_log *log, uint64_t handle, const char *fault)
{
    struct log_entry *e = find(log, handle);

    if (e != NULL)
        e->fault = fault;
}

void requests_log_set_sid(struct requests_log *log, uint64_t handle, const char *sid)
{
    struct log_entry *e = find(log, handle);

    if (e != NULL)
        memcpy(e->sid, sid, sizeof(e->sid));
}

void requests_log_set_status(struct requests_log *log, uint64_t handle, int status)
{
    struct log_entry *e = find(log, handle);

    if (handle > log->base && status >= 0 && status < STATUSES)
        log->by_status[status]++;
    if (e != NULL)
        e->status = (uint16_t)status;
}

uint64_t requests_log_first(const struct requests_log *log)
{
    return log->first_handle - log->base;
}

uint64_t requests_log_end(const struct requests_log *log)
{
    return requests_log_first(log) + log->count;
}

const struct log_entry *requests_log_get(const struct requests_log *log, uint64_t n)
{
    return log->entries[n - requests_log_first(log)];
}

uint64_t requests_log_total(const struct requests_log *log)
{
    return requests_log_end(log) - 1;
}

uint64_t requests_log_count_status(const struct requests_log *log, int status)
{
    return log->by_status[status];
}
