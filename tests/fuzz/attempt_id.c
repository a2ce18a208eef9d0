/* Attempts in URLs: read back in the form alone in which they are written. */
#include "worker/attempt_id.h"

#include <stdlib.h>
#include <string.h>

#include "common/url.h"
#include "tests/fuzz/fuzz.h"

static void check_id(const char *text, size_t length)
{
    struct attempt_id id;
    struct buf again;

    if (!attempt_id_parse(text, length, &id))
        return;
    must(id.delivery_id > 0 && id.attempt > 0);
    must(fuzz_is_line(id.destination_id, 255 * 4 + 1));
    buf_init(&again, 4096);
    attempt_id_write(&again, id.destination_id, id.delivery_id, id.attempt);
    must(again.length == length && memcmp(again.data, text, length) == 0);
    must(strspn(again.data, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.") ==
         length);
    buf_release(&again);
    attempt_id_release(&id);
}

/* A URL that may be called back stays one, and leads back to its attempt. */
static void check_url(const char *url, const char *destination_id)
{
    char why[128], *with, *value;
    struct attempt_id id;
    size_t query = strcspn(url, "?#"), fragment = strcspn(url, "#");

    if (!url_callback(url, why, sizeof why) || !fuzz_is_line(destination_id, 256))
        return;
    with = attempt_id_url(url, destination_id, INT64_MAX, 7);
    must(strncmp(with, url, query) == 0);
    must(strcmp(with + strcspn(with, "#"), url + fragment) == 0);
    must(url_callback(with, why, sizeof why));
    with[strcspn(with, "#")] = '\0';
    value = memmem(with, strlen(with), "attempt=", 8);
    while (value != NULL && strstr(value + 8, "attempt=") != NULL)
        value = strstr(value + 8, "attempt=");
    must(value != NULL && (value[-1] == '?' || value[-1] == '&'));
    must(strchr(with, '?') != NULL && strchr(with, '?') < value);
    if (attempt_id_parse(value + 8, strlen(value + 8), &id)) {
        must(strcmp(id.destination_id, destination_id) == 0);
        must(id.delivery_id == INT64_MAX && id.attempt == 7);
        attempt_id_release(&id);
    } else {
        must(strstr(destination_id, "\xc2") != NULL); /* a C1 control character */
    }
    free(with);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    char *exact;

    fuzz_split(data, size, &input);
    exact = fuzz_exact(input.pieces[0], input.lengths[0]);
    check_id(exact, input.lengths[0]);
    check_url(fuzz_text(&input, 1), fuzz_text(&input, 2));
    free(exact);
    fuzz_release(&input);
    return 0;
}
