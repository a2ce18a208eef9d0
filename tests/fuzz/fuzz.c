#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"

#define SEPARATOR "\n---\n"

void fuzz_must(bool holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "PROPERTY BROKEN: %s (%s:%d)\n", what, file, line);
    abort();
}

/* ---- input ---- */

static void add_piece(struct fuzz_input *input, const char *bytes, size_t length)
{
    input->pieces[input->count] = mem_copy(bytes, length);
    input->lengths[input->count++] = length;
}

void fuzz_split(const uint8_t *data, size_t size, struct fuzz_input *ret_input)
{
    const char *rest = (const char *)data;
    const char *end = rest + size - (size > 0 && data[size - 1] == '\n');

    *ret_input = (struct fuzz_input){.count = 0};
    while (ret_input->count < FUZZ_PIECES - 1) {
        const char *next = memmem(rest, (size_t)(end - rest), SEPARATOR, strlen(SEPARATOR));

        if (next == NULL)
            break;
        add_piece(ret_input, rest, (size_t)(next - rest));
        rest = next + strlen(SEPARATOR);
    }
    add_piece(ret_input, rest, (size_t)(end - rest));
}

void fuzz_release(struct fuzz_input *input)
{
    for (int i = 0; i < input->count; i++)
        free(input->pieces[i]);
    *input = (struct fuzz_input){.count = 0};
}

const char *fuzz_text(const struct fuzz_input *input, int i)
{
    return i < input->count ? input->pieces[i] : "";
}

json_t *fuzz_json(const struct fuzz_input *input, int i)
{
    const char *text = fuzz_text(input, i);

    return json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
}

char *fuzz_exact(const char *bytes, size_t length)
{
    char *copy = malloc(length);

    if (length > 0)
        memcpy(copy, bytes, length);
    return copy;
}

/* ---- judging ---- */

bool fuzz_is_utf8(const char *bytes, size_t length)
{
    json_t *string = json_stringn(bytes, length);
    bool valid = string != NULL;

    json_decref(string);
    return valid;
}

bool fuzz_is_line(const char *text, size_t size)
{
    size_t length = strnlen(text, size);

    if (length == 0 || length == size || !fuzz_is_utf8(text, length))
        return false;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    }
    return true;
}

bool fuzz_pattern_matches(struct fuzz_pattern *pattern, const char *expression, const char *text)
{
    if (pattern->compiled == NULL) {
        pattern->compiled = malloc(sizeof(regex_t));
        must(regcomp(pattern->compiled, expression, REG_EXTENDED | REG_NOSUB) == 0);
    }
    return regexec(pattern->compiled, text, 0, NULL, 0) == 0;
}

bool fuzz_is_reason(const char *word)
{
    return word != NULL && fuzz_matches("^[A-Z][A-Z0-9_]*$", word);
}

char *fuzz_json_text(const json_t *value)
{
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

static char rotated(char c, char first, char last)
{
    return (char)(first + (c - first + 1) % (last - first + 1));
}

void fuzz_rotate(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text >= 'a' && *text <= 'z')
            *text = rotated(*text, 'a', 'z');
        else if (*text >= 'A' && *text <= 'Z')
            *text = rotated(*text, 'A', 'Z');
        else if (*text >= '0' && *text <= '9')
            *text = rotated(*text, '0', '9');
    }
}

void fuzz_sign(const char *token, const char *text, size_t length,
               char ret_signature[FUZZ_SIGNATURE_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size;

    must(HMAC(EVP_sha1(), token, (int)strlen(token), (const unsigned char *)text, length, digest,
              &size) != NULL);
    must(EVP_EncodeBlock((unsigned char *)ret_signature, digest, (int)size) ==
         FUZZ_SIGNATURE_SIZE - 1);
}

/* ---- stderr ---- */

static bool capturing;
static struct buf captured;

ssize_t __real_write(int fd, const void *bytes, size_t length);
ssize_t __wrap_write(int fd, const void *bytes, size_t length);

/* The linker puts it in write()'s place. */
ssize_t __wrap_write(int fd, const void *bytes, size_t length)
{
    if (!capturing || fd != STDERR_FILENO)
        return __real_write(fd, bytes, length);
    buf_add(&captured, bytes, length);
    return (ssize_t)length;
}

void fuzz_capture(void)
{
    buf_init(&captured, (size_t)16 << 20);
    capturing = true;
}

char *fuzz_captured(size_t *ret_length)
{
    capturing = false;
    *ret_length = captured.length;
    return buf_detach(&captured);
}
