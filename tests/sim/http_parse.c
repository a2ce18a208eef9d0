#include "http_parse.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A chunk size line or trailer line longer than this is nonsense. */
enum { LINE_MAX_BYTES = 8192 };

/* Cuts the next line off, without its end; NULL at the end of the head. */
static char *next_line(char **cursor)
{
    char *line = *cursor;
    char *end = strstr(line, "\r\n");

    if (end == NULL)
        return NULL;
    *end = '\0';
    *cursor = end + 2;
    return line;
}

static int parse_request_line(char *line, struct http_head *h)
{
    char *method = strsep(&line, " ");
    char *target = strsep(&line, " ");
    char *query;

    if (target == NULL || line == NULL || *method == '\0' || *target != '/')
        return 400;
    if (strcmp(line, "HTTP/1.1") == 0)
        h->keep_alive = true;
    else if (strcmp(line, "HTTP/1.0") == 0)
        h->keep_alive = false;
    else
        return strncmp(line, "HTTP/", 5) == 0 ? 505 : 400;
    query = strchr(target, '?');
    h->query = "";
    if (query != NULL) {
        *query = '\0';
        h->query = query + 1;
    }
    h->method = method;
    h->path = target;
    return 0;
}

static int parse_length(const char *value, bool *have_length, struct http_head *h)
{
    char *end;
    unsigned long long length;

    if (*value < '0' || *value > '9')
        return 400;
    length = strtoull(value, &end, 10);
    if (*end != '\0' || (*have_length && length != h->content_length))
        return 400;
    *have_length = true;
    h->content_length = (size_t)length;
    return 0;
}

static void parse_connection(const char *value, struct http_head *h)
{
    if (strcasestr(value, "close") != NULL)
        h->keep_alive = false;
    else if (strcasestr(value, "keep-alive") != NULL)
        h->keep_alive = true;
}

static int parse_header(const char *name, const char *value, bool *have_length, struct http_head *h)
{
    if (strcasecmp(name, "content-length") == 0)
        return parse_length(value, have_length, h);
    if (strcasecmp(name, "transfer-encoding") == 0) {
        if (strcasecmp(value, "chunked") != 0)
            return 501;
        h->chunked = true;
    } else if (strcasecmp(name, "connection") == 0) {
        parse_connection(value, h);
    } else if (strcasecmp(name, "expect") == 0) {
        if (strcasecmp(value, "100-continue") != 0)
            return 417;
        h->expects_continue = true;
    } else if (strcasecmp(name, "authorization") == 0) {
        h->authorization = value;
    } else if (strcasecmp(name, "content-type") == 0) {
        h->content_type = value;
    }
    return 0;
}

/* Splits "Name: value" and drops the blanks around the value. */
static char *split_header(char *line)
{
    char *colon = strchr(line, ':');
    char *value;
    size_t len;

    /* A blank in the name would let two parsers disagree about what is a header. */
    if (colon == NULL || colon == line || strcspn(line, " \t") < (size_t)(colon - line))
        return NULL;
    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    len = strlen(value);
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        value[--len] = '\0';
    return value;
}

int http_head_parse(char *head, size_t len, struct http_head *ret_head)
{
    struct http_head h = {0};
    bool have_length = false;
    char *line;
    int status;

    if (memchr(head, '\0', len) != NULL || (line = next_line(&head)) == NULL)
        return 400;
    status = parse_request_line(line, &h);
    while (status == 0 && (line = next_line(&head)) != NULL && *line != '\0') {
        char *value = split_header(line);

        status = value == NULL ? 400 : parse_header(line, value, &have_length, &h);
    }
    if (status == 0 && h.chunked && have_length)
        status = 400;
    *ret_head = h;
    return status;
}

/* Takes one line from `in`. Returns 1 and the length without the line's end, 0 if it is not
 * complete, or 400. */
static int take_line(const struct text *in, size_t *ret_len, size_t *ret_consumed)
{
    const char *end = in->len == 0 ? NULL : memchr(in->data, '\n', in->len);

    if (end == NULL)
        return in->len > LINE_MAX_BYTES ? 400 : 0;
    *ret_consumed = (size_t)(end - in->data) + 1;
    *ret_len = *ret_consumed - 1;
    if (*ret_len > 0 && in->data[*ret_len - 1] == '\r')
        (*ret_len)--;
    return 1;
}

static int feed_size(struct http_chunks *c, struct text *in, size_t room)
{
    size_t len, consumed;
    char *end;
    unsigned long long size;
    int got = take_line(in, &len, &consumed);

    if (got != 1)
        return got;
    if (strchr("0123456789abcdefABCDEF", in->data[0]) == NULL)
        return 400;
    size = strtoull(in->data, &end, 16);
    if (end != in->data + len && *end != ';' && *end != ' ')
        return 400;
    if (size > room)
        return 413;
    c->left = (size_t)size;
    c->state = size == 0 ? CHUNK_TRAILER : CHUNK_DATA;
    text_consume(in, consumed);
    return 1;
}

static int feed_data(struct http_chunks *c, struct text *in, struct text *body)
{
    size_t take = in->len < c->left ? in->len : c->left;

    text_add(body, text_string(in), take);
    text_consume(in, take);
    c->left -= take;
    if (c->left > 0)
        return 0;
    c->state = CHUNK_END;
    return 1;
}

static int feed_end(struct http_chunks *c, struct text *in)
{
    size_t len, consumed;
    int got = take_line(in, &len, &consumed);

    if (got != 1)
        return got;
    if (len != 0)
        return 400;
    text_consume(in, consumed);
    c->state = CHUNK_SIZE;
    return 1;
}

int http_chunks_feed(struct http_chunks *c, struct text *in, struct text *body, size_t max)
{
    size_t len, consumed;
    int got = 1;

    while (got == 1) {
        switch (c->state) {
        case CHUNK_SIZE:
            got = feed_size(c, in, max - body->len);
            break;
        case CHUNK_DATA:
            got = feed_data(c, in, body);
            break;
        case CHUNK_END:
            got = feed_end(c, in);
            break;
        case CHUNK_TRAILER:
            got = take_line(in, &len, &consumed);
            if (got != 1)
                break;
            text_consume(in, consumed);
            if (len == 0)
                return HTTP_CHUNKS_DONE;
            break;
        }
    }
    return got == 0 ? HTTP_CHUNKS_MORE : got;
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Payload Too Large"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Entity"},
        {425, "Too Early"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Status";
}
