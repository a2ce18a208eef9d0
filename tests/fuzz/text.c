/* Bytes of any kind become text: UTF-8, JSON strings, base64. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

static void check_clean(const char *bytes, size_t length, size_t room)
{
    struct buf out, again;
    bool whole;

    buf_init(&out, room);
    buf_init(&again, room);
    buf_add_string(&out, "");
    buf_add_string(&again, "");
    whole = utf8_clean(&out, bytes, length);
    must(out.length <= room && out.overflow == !whole && strlen(out.data) == out.length);
    must(fuzz_is_utf8(out.data, out.length) && utf8_valid(out.data, out.length));
    must(utf8_clean(&again, out.data, out.length) && strcmp(out.data, again.data) == 0);
    /* Nothing is changed without need, or given up while there is room for a character. */
    if (fuzz_is_utf8(bytes, length) && memchr(bytes, '\0', length) == NULL)
        must(memcmp(out.data, bytes, out.length) == 0 && (!whole || out.length == length));
    must(whole || out.length + 4 > room);
    buf_release(&out);
    buf_release(&again);
}

static size_t characters(const char *text)
{
    size_t count = 0;

    while (*text != '\0') {
        unsigned char c = (unsigned char)*text;

        text += c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        count++;
    }
    return count;
}

static void check_characters(const char *text)
{
    size_t length = strlen(text), count = characters(text), half = utf8_prefix(text, count / 2);
    int shown = utf8_shown(text, length);

    must(utf8_length(text) == count);
    must(half <= length && fuzz_is_utf8(text, half));
    must(utf8_prefix(text, count) == length && utf8_prefix(text, count + 9) == length);
    must(shown >= 0 && (size_t)shown <= length && fuzz_is_utf8(text, (size_t)shown));
    must(shown <= 128 && ((size_t)shown == length || shown > 124 || utf8_has_control(text)));
}

static void check_json(const char *text, size_t length)
{
    struct buf out;
    json_t *json;

    buf_init(&out, (size_t)1 << 20);
    must(json_escape_bytes(&out, text, length));
    must(!utf8_has_control(out.data));
    must(json_parse(out.data, out.length, &json, NULL, 0) == JSON_OK);
    must(json_string_length(json) == length);
    must(memcmp(json_string_value(json), text, length) == 0);
    json_decref(json);
    buf_release(&out);
}

/* There and back, and as OpenSSL has it. */
static void check_base64(const char *bytes, size_t length)
{
    char *text = malloc(BASE64_SIZE(length)), *other = malloc(BASE64_SIZE(length));
    struct buf back;

    base64_encode(bytes, length, text);
    EVP_EncodeBlock((unsigned char *)other, (const unsigned char *)bytes, (int)length);
    must(strcmp(text, other) == 0);
    base64url_encode(bytes, length, text);
    buf_init(&back, length);
    must(base64url_decode(text, strlen(text), &back));
    must(back.length == length && (length == 0 || memcmp(back.data, bytes, length) == 0));
    buf_release(&back);
    free(text);
    free(other);
}

/* What can be decoded has one form alone. */
static void check_decode(const char *bytes, size_t length)
{
    char *again = malloc(BASE64_SIZE(length));
    struct buf back;

    buf_init(&back, length);
    if (base64url_decode(bytes, length, &back)) {
        base64url_encode(back.data != NULL ? back.data : "", back.length, again);
        must(strlen(again) == length && memcmp(again, bytes, length) == 0);
    }
    buf_release(&back);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_exact((const char *)data, size);
    char *text = mem_copy(bytes, size);

    must(utf8_valid(bytes, size) == fuzz_is_utf8(bytes, size));
    check_clean(bytes, size, 4 * size);
    check_clean(bytes, size, size / 2);
    check_base64(bytes, size);
    check_decode(bytes, size);
    if (fuzz_is_utf8(text, strlen(text))) {
        check_characters(text);
        check_json(text, strlen(text));
    }
    free(text);
    free(bytes);
    return 0;
}
