/*
 * A growing run of bytes, always followed by a NUL that is not counted.
 *
 * A zeroed struct is an empty text. Nothing here fails: when memory runs out the program says so
 * and stops, which is all that a test double can usefully do. Bounds are the caller's.
 */
#ifndef SIM_TEXT_H
#define SIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data; /* NULL while nothing was ever added */
    size_t len;
    size_t cap;
};

/* malloc, realloc and strndup that end the program instead of returning NULL. */
void *text_alloc_zeroed(size_t size);
void *text_realloc(void *old, size_t size);
char *text_copy_bytes(const char *bytes, size_t len);
char *text_copy(const char *string);

/* Frees the bytes; the text is empty and usable afterwards. */
void text_release(struct text *t);
/* Empties the text and keeps its memory. */
void text_clear(struct text *t);
/* Makes room for `more` bytes (and the NUL) after the end; what is there is not touched. */
void text_reserve(struct text *t, size_t more);
/* Takes the first `count` bytes away. */
void text_consume(struct text *t, size_t count);
/* The bytes as a C string; "" while empty. Borrowed until the next change. */
const char *text_string(const struct text *t);

void text_add(struct text *t, const char *bytes, size_t len);
void text_add_string(struct text *t, const char *string);
void text_add_char(struct text *t, char c);
void text_addf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes, or null for a NULL string. Bytes that are not UTF-8 become U+FFFD.
 */
void text_add_json(struct text *t, const char *string);
/* As text_add_json, for bytes that may contain NUL. */
void text_add_json_bytes(struct text *t, const char *bytes, size_t len);
/* Character data with &, <, > and quotes escaped; nothing for NULL. */
void text_add_xml(struct text *t, const char *string);
/* Percent-encodes everything but letters, digits and -._~ */
void text_add_urlencoded(struct text *t, const char *string);

/* The number of characters (code points) in UTF-8; a byte that is not part of one counts as one. */
size_t text_count_characters(const char *string);
/* The length of the UTF-8 sequence that starts at `bytes`, or 0 if there is none. */
size_t text_utf8_length(const char *bytes, size_t len);

#endif
