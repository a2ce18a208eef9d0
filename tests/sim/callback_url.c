#include "callback_url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"

static const char SCHEME[] = "http://";

enum { MAX_RETRIES = 5, MIN_TIMEOUT_MS = 100, MAX_CONNECT_MS = 10000, MAX_READ_MS = 15000 };

static void read_number(const char *value, int64_t min, int64_t max, int64_t *number)
{
    char *end;
    long parsed = strtol(value, &end, 10);

    if (*value != '\0' && *end == '\0' && parsed >= min && parsed <= max)
        *number = parsed;
}

static unsigned retry_bit(const char *name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {{"4xx", RETRY_4XX},
                 {"5xx", RETRY_5XX},
                 {"ct", RETRY_CONNECT},
                 {"rt", RETRY_READ},
                 {"all", RETRY_ALL}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].name, name) == 0)
            return known[i].bit;
    }
    return 0;
}

static void read_override(struct callback_url *u, const char *name, char *value)
{
    int64_t retries = u->retries;
    char *item;

    if (strcmp(name, "rc") == 0)
        read_number(value, 0, MAX_RETRIES, &retries);
    else if (strcmp(name, "ct") == 0)
        read_number(value, MIN_TIMEOUT_MS, MAX_CONNECT_MS, &u->connect_ms);
    else if (strcmp(name, "rt") == 0)
        read_number(value, MIN_TIMEOUT_MS, MAX_READ_MS, &u->read_ms);
    u->retries = (int)retries;
    if (strcmp(name, "rp") != 0)
        return;
    u->retry_on = 0;
    while ((item = strsep(&value, ",")) != NULL)
        u->retry_on |= retry_bit(item);
}

static void read_fragment(struct callback_url *u, const char *fragment)
{
    char *copy = text_copy(fragment);
    char *rest = copy;
    char *pair;

    while ((pair = strsep(&rest, "&")) != NULL) {
        char *name = strsep(&pair, "=");

        if (pair != NULL)
            read_override(u, name, pair);
    }
    free(copy);
}

static void split_authority(struct callback_url *u)
{
    const char *start = u->authority;
    const char *end = *start == '[' ? strchr(start, ']') : strchr(start, ':');
    const char *port;

    if (*start == '[' && end != NULL)
        start++;
    if (end == NULL)
        end = start + strlen(start);
    port = strchr(end, ':');
    u->host = text_copy_bytes(start, (size_t)(end - start));
    u->port = text_copy(port == NULL || port[1] == '\0' ? "80" : port + 1);
}

bool callback_url_parse(struct callback_url *ret_url, const char *url)
{
    struct callback_url u = {
        .retries = 1, .retry_on = RETRY_CONNECT, .connect_ms = 5000, .read_ms = 15000};
    const char *authority = url + strlen(SCHEME);
    struct text target = {0};
    size_t len = strcspn(url, "#");

    u.without_hash = text_copy_bytes(url, len);
    if (url[len] == '#')
        read_fragment(&u, url + len + 1);
    *ret_url = u;
    if (strncasecmp(url, SCHEME, strlen(SCHEME)) != 0)
        return false;
    len = strcspn(authority, "/?#");
    u.authority = text_copy_bytes(authority, len);
    split_authority(&u);
    if (authority[len] != '/')
        text_add_char(&target, '/');
    text_add_string(&target, u.without_hash + strlen(SCHEME) + len);
    u.target = target.data;
    *ret_url = u;
    return *u.host != '\0' && strchr(u.authority, '@') == NULL;
}

void callback_url_release(struct callback_url *url)
{
    free(url->host);
    free(url->port);
    free(url->authority);
    free(url->target);
    free(url->without_hash);
    *url = (struct callback_url){0};
}
