#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the targets share. A target is a file with the function below, which libFuzzer calls with
 * bytes; it must() what the headers of what it calls promise.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Says which property is broken, and ends the program, unless `condition` holds. */
#define must(condition) fuzz_must((condition) ? true : false, #condition, __FILE__, __LINE__)
void fuzz_must(bool holds, const char *what, const char *file, int line);

/*
 * An input is text in pieces, with a line "---" between two of them; a line's end behind the last
 * one is none of it, so that seeds can be written with any editor. Each piece is in memory of its
 * own with a NUL behind it.
 */
#define FUZZ_PIECES 16

struct fuzz_input {
    char *pieces[FUZZ_PIECES];
    size_t lengths[FUZZ_PIECES];
    int count;
};

void fuzz_split(const uint8_t *data, size_t size, struct fuzz_input *ret_input);
void fuzz_release(struct fuzz_input *input);

/* Piece `i` as a C string; "" if there is none. Borrowed. */
const char *fuzz_text(const struct fuzz_input *input, int i);

/* Piece `i` as JSON, a new reference; NULL if it is none. */
json_t *fuzz_json(const struct fuzz_input *input, int i);

/* A copy of exactly `length` bytes, without a NUL: a look beyond them is seen. */
char *fuzz_exact(const char *bytes, size_t length);

/* Whether the bytes are valid UTF-8: jansson's word, not ours. */
bool fuzz_is_utf8(const char *bytes, size_t length);

/* Whether `text` is one line of valid UTF-8, not empty, in less than `size` bytes. */
bool fuzz_is_line(const char *text, size_t size);

/* Whether `word` is UPPER_SNAKE. */
bool fuzz_is_reason(const char *word);

/* Whether `text` matches a POSIX extended expression, which is compiled once for each place. */
#define fuzz_matches(expression, text)                     \
    __extension__({                                        \
        static struct fuzz_pattern pattern_;               \
        fuzz_pattern_matches(&pattern_, expression, text); \
    })
struct fuzz_pattern {
    void *compiled;
};
bool fuzz_pattern_matches(struct fuzz_pattern *pattern, const char *expression, const char *text);

/* JSON, compact, owned: as jansson has it. */
char *fuzz_json_text(const json_t *value);

/* In place: each letter and digit becomes another one, of its kind. */
void fuzz_rotate(char *text);

/* Twilio's signature of a text: HMAC-SHA1 in base64, by OpenSSL's functions alone. */
#define FUZZ_SIGNATURE_SIZE 29
void fuzz_sign(const char *token, const char *text, size_t length,
               char ret_signature[FUZZ_SIGNATURE_SIZE]);

/* What is written to stderr between the two calls; owned. */
void fuzz_capture(void);
char *fuzz_captured(size_t *ret_length);

#endif
