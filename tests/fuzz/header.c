/* Lines of an answer's head, as libcurl hands them over: what is kept is short and UTF-8. */
#include "common/http.c" /* the function that libcurl calls is nobody else's */

#include "tests/fuzz/fuzz.h"

static void check_kept(const struct http_response *response)
{
    must(response->header_count >= 0 && response->header_count <= HTTP_KEPT_HEADERS);
    for (int i = 0; i < response->header_count; i++) {
        const struct http_header *header = &response->headers[i];
        size_t length = strnlen(header->value, sizeof header->value);

        must(length < sizeof header->value && fuzz_is_utf8(header->value, length));
        must(http_header_value(response, header->name) == header->value); /* each name once */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exchange exchange = {.http = NULL};
    const char *rest = (const char *)data, *end = rest + size;

    while (rest < end) {
        const char *line_end = memchr(rest, '\n', (size_t)(end - rest));
        size_t length = (size_t)((line_end != NULL ? line_end + 1 : end) - rest);
        char *line = fuzz_exact(rest, length);

        must(on_header(line, 1, length, &exchange) == length);
        if (length >= 5 && strncmp(line, "HTTP/", 5) == 0)
            must(exchange.response.header_count == 0);
        check_kept(&exchange.response);
        free(line);
        rest += length;
    }
    return 0;
}
