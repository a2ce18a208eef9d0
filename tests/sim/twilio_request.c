#include "twilio_request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"

static const char ROOT[] = "/2010-04-01/Accounts/";
static const char FORM_TYPE[] = "application/x-www-form-urlencoded";

/* Takes ".json" or ".xml" off the end, and with it tells the format. */
static enum render_format cut_extension(char *s)
{
    size_t len = strlen(s);

    if (len >= 5 && strcmp(s + len - 5, ".json") == 0) {
        s[len - 5] = '\0';
        return RENDER_JSON;
    }
    if (len >= 4 && strcmp(s + len - 4, ".xml") == 0)
        s[len - 4] = '\0';
    return RENDER_XML;
}

static void parse_path(struct twilio_request *r)
{
    char *copy, *rest, *account, *collection;

    r->format = RENDER_JSON;
    if (strncmp(r->http->path, ROOT, strlen(ROOT)) != 0)
        return;
    copy = text_copy(r->http->path + strlen(ROOT));
    rest = copy;
    account = strsep(&rest, "/");
    if (rest == NULL) {
        r->format = cut_extension(account);
        r->route = ROUTE_ACCOUNT;
        free(r->account);
        r->account = text_copy(account);
    } else {
        r->format = cut_extension(rest);
        free(r->account);
        r->account = text_copy(account);
        collection = strsep(&rest, "/");
        if (strcmp(collection, "Messages") == 0)
            r->route = rest == NULL ? ROUTE_MESSAGES : ROUTE_MESSAGE;
        if (rest != NULL) {
            free(r->sid);
            r->sid = text_copy(rest);
        }
    }
    free(copy);
}

static void parse_params(struct twilio_request *r)
{
    const struct http_request *http = r->http;
    size_t len = strlen(FORM_TYPE);

    if (strcmp(http->method, "POST") != 0)
        form_parse(&r->params, http->query, strlen(http->query));
    else if (http->content_type != NULL && strncasecmp(http->content_type, FORM_TYPE, len) == 0)
        form_parse(&r->params, http->body, http->body_len);
    /* What else a POST may carry is not read, so that required parameters are missing. */
}

void twilio_request_parse(struct twilio_request *ret_request, const struct http_request *http)
{
    *ret_request = (struct twilio_request){.http = http};
    ret_request->account = text_copy("");
    ret_request->sid = text_copy("");
    parse_path(ret_request);
    parse_params(ret_request);
    twilio_credentials_parse(&ret_request->credentials, http->authorization);
}

void twilio_request_release(struct twilio_request *r)
{
    free(r->account);
    free(r->sid);
    twilio_credentials_release(&r->credentials);
    form_release(&r->params);
    *r = (struct twilio_request){0};
}
