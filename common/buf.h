#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A growing run of bytes that must say how large it may become. What does not fit is cut off, and
 * `overflow` stays set, so that a caller may add piece by piece and look once at the end.
 * `data` is NUL-terminated after every call that added something; it is NULL before the first.
 */
struct buf {
    char *data;
    size_t length;
    size_t capacity;
    size_t max;
    bool overflow;
};

/* An empty buffer of at most `max` bytes. Nothing is allocated yet. */
void buf_init(struct buf *buf, size_t max);

/* Frees the bytes; the buffer is empty again and keeps its bound. */
void buf_release(struct buf *buf);

/* Empties the buffer, keeps its memory. */
void buf_clear(struct buf *buf);

/* Add bytes, a string, one character, printf()'s output. False if it did not fit. */
bool buf_add(struct buf *buf, const void *bytes, size_t length);
bool buf_add_string(struct buf *buf, const char *string);
bool buf_add_char(struct buf *buf, char c);
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Big-endian integers, as PostgreSQL's binary formats want them. */
bool buf_add_be32(struct buf *buf, uint32_t value);
bool buf_add_be64(struct buf *buf, uint64_t value);

/* The string, owned by the caller from now on ("" if nothing was added); the buffer is empty. */
char *buf_detach(struct buf *buf);

#endif
