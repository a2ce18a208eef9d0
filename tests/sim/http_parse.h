/* The two parsers of the HTTP server: the head of a request, and chunked bodies. No input or output
 * here. */
#ifndef SIM_HTTP_PARSE_H
#define SIM_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

/* What the server needs to know from a head. Strings point into the parsed bytes. */
struct http_head {
    const char *method;
    const char *path;          /* as sent, without the query */
    const char *query;         /* behind the first '?', "" without one */
    const char *authorization; /* NULL without one */
    const char *content_type;  /* NULL without one */
    size_t content_length;     /* 0 without one */
    bool chunked;
    bool keep_alive;
    bool expects_continue;
};

/* Parses everything up to and including the empty line. `head` is NUL-terminated, holds `len` bytes
 * and is cut up in place; it must outlive ret_head. Returns 0, or the HTTP status with which to
 * refuse the request. */
int http_head_parse(char *head, size_t len, struct http_head *ret_head);

/* Where a chunked body has got to; zeroed at its beginning. */
struct http_chunks {
    enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, CHUNK_TRAILER } state;
    size_t left; /* bytes of the current chunk still to come */
};

enum { HTTP_CHUNKS_MORE = 0, HTTP_CHUNKS_DONE = 1 };

/* Moves what it can from `in` to `body`, of which at most `max` bytes are allowed. Returns
 * HTTP_CHUNKS_MORE, HTTP_CHUNKS_DONE, or the HTTP status with which to refuse the request. */
int http_chunks_feed(struct http_chunks *c, struct text *in, struct text *body, size_t max);

/* The standard phrase of a status, "Status" for one without. */
const char *http_reason(int status);

#endif
