#include "worker/attempt_id.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/mem.h"
#include "common/utf8.h"

#define CHARACTERS_MAX 255
#define BYTES_MAX      ((size_t)CHARACTERS_MAX * 4)
#define URL_MAX_BYTES  ((size_t)64 << 10)

void attempt_id_write(struct buf *buf, const char *destination_id, int64_t delivery_id, int attempt)
{
    size_t length = strlen(destination_id);
    char *encoded = mem_zalloc(BASE64_SIZE(length));

    base64url_encode(destination_id, length, encoded);
    buf_printf(buf, "%lld.%d.%s", (long long)delivery_id, attempt, encoded);
    free(encoded);
}

/* A number from 1 to `max` as printf() writes it, and the '.' behind it; moves past both. */
static bool take_number(const char **text, const char *end, int64_t max, int64_t *ret_number)
{
    const char *c = *text;
    int64_t number = 0;

    if (c == end || *c == '0')
        return false;
    for (; c < end && *c >= '0' && *c <= '9'; c++) {
        int digit = *c - '0';

        if (number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (c == *text || c == end || *c != '.')
        return false;
    *text = c + 1;
    *ret_number = number;
    return true;
}

static bool is_destination_id(const struct buf *id)
{
    return id->length > 0 && memchr(id->data, '\0', id->length) == NULL &&
           utf8_valid(id->data, id->length) && !utf8_has_control(id->data) &&
           utf8_length(id->data) <= CHARACTERS_MAX;
}

bool attempt_id_parse(const char *text, size_t length, struct attempt_id *ret_id)
{
    const char *end = text + length;
    int64_t delivery_id, attempt;
    struct buf id;

    buf_init(&id, BYTES_MAX);
    if (!take_number(&text, end, INT64_MAX, &delivery_id) ||
        !take_number(&text, end, INT_MAX, &attempt) ||
        !base64url_decode(text, (size_t)(end - text), &id) || !is_destination_id(&id)) {
        buf_release(&id);
        return false;
    }
    *ret_id = (struct attempt_id){
        .destination_id = buf_detach(&id), .delivery_id = delivery_id, .attempt = (int)attempt};
    return true;
}

void attempt_id_release(struct attempt_id *id)
{
    free(id->destination_id);
    *id = (struct attempt_id){.destination_id = NULL};
}

/* Whether nothing stands between the host and the query. */
static bool lacks_path(const char *url, size_t length)
{
    const char *host = memmem(url, length, "://", 3);
    const char *from = host != NULL ? host + 3 : url;

    return memchr(from, '/', strcspn(from, "?#")) == NULL;
}

char *attempt_id_url(const char *callback_url, const char *destination_id, int64_t delivery_id,
                     int attempt)
{
    size_t path_end = strcspn(callback_url, "?#");
    size_t query_end = strcspn(callback_url, "#");
    const char *query = callback_url + path_end;
    int query_length = (int)(query_end - path_end);
    struct buf url;

    buf_init(&url, URL_MAX_BYTES);
    buf_printf(&url, "%.*s%s%.*s", (int)path_end, callback_url,
               lacks_path(callback_url, path_end) ? "/" : "", query_length, query);
    if (query_length == 0)
        buf_add_char(&url, '?');
    else if (query_length > 1 && query[query_length - 1] != '&')
        buf_add_char(&url, '&');
    buf_add_string(&url, ATTEMPT_ID_PARAMETER "=");
    attempt_id_write(&url, destination_id, delivery_id, attempt);
    buf_add_string(&url, callback_url + query_end);
    return buf_detach(&url);
}
