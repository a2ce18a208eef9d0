/*
 * The receiver of status callbacks, whole, on a socket: whatever strangers send it answers with one
 * of its few words or none, and takes only what an account's owner signed.
 */
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/form.h"
#include "common/listen.h"
#include "common/log.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"
#include "worker/attempt_id.h"
#include "worker/callback.h"
#include "worker/callback_form.h"
#include "worker/signature.h"

#define URL     "https://example.com/cb"
#define ACCOUNT "AC0123456789abcdef0123456789abcdef"
#define TOKEN   "fuzz0123456789abcdef0123456789ab"
#define TURNS   50

static struct event_base *base;
static struct sockaddr_un address;
static socklen_t address_length = sizeof address;
static bool is_signed;
static bool is_ours; /* what was signed says that it is the account's */
static int received;

/* ---- stand-ins: accounts without a database, a socket without a port ---- */

bool accounts_loaded(const struct accounts *accounts)
{
    (void)accounts;
    return true;
}

int accounts_tokens(const struct accounts *accounts, const char *account_sid,
                    const char *ret_tokens[TOKENS_OF_ACCOUNT])
{
    (void)accounts;
    ret_tokens[0] = TOKEN;
    return strcmp(account_sid, ACCOUNT) == 0 ? 1 : 0;
}

char *accounts_signers(const struct accounts *accounts, const char *account_sid, const char *token)
{
    char sha256[SIGNATURE_SHA256_SIZE];

    (void)accounts;
    must(strcmp(account_sid, ACCOUNT) == 0 && strcmp(token, TOKEN) == 0);
    signature_sha256(token, strlen(token), sha256);
    return mem_strdup(sha256);
}

struct evhttp_bound_socket *listen_http(struct evhttp *server, const char *unused)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_un any = {.sun_family = AF_UNIX};

    (void)unused;
    /* Linux finds a name for it that is in no folder. */
    must(bind(fd, (struct sockaddr *)&any, sizeof any.sun_family) == 0 && listen(fd, 8) == 0);
    must(getsockname(fd, (struct sockaddr *)&address, &address_length) == 0);
    return evhttp_accept_socket_with_handle(server, fd);
}

int listen_port(struct evhttp_bound_socket *unused)
{
    (void)unused;
    return 0;
}

/* ---- the receiver ---- */

static void on_received(void *arg, struct status *status)
{
    (void)arg;
    received++;
    must(is_signed);
    must(strcmp(status->account_sid, ACCOUNT) == 0);
    must(status->delivery_id > 0 && status->attempt > 0);
    must(fuzz_is_line(status->destination_id, 255 * 4 + 1));
    must(fuzz_matches("^[0-9a-f]{64}$", status->signers));
    status_free(status);
}

static bool has_room(void *arg)
{
    (void)arg;
    return true;
}

static void open_once(void)
{
    char error[256];

    if (base != NULL)
        return;
    log_configure(LOG_ERROR, false);
    base = event_base_new();
    must(callback_open(&(struct callback_options){.base = base,
                                                  .listen = "-",
                                                  .url = URL,
                                                  .received = on_received,
                                                  .has_room = has_room},
                       error, sizeof error) != NULL);
}

/* ---- a request ---- */

/* What our own account would send: a query, a body, what kind it is of. */
static void add_request(struct buf *out, const char *query, const char *body, const char *type,
                        const struct form *form)
{
    char *url = mem_printf(URL "%s%s", query[0] != '\0' ? "?" : "", query);
    char signature[FUZZ_SIGNATURE_SIZE];
    struct signature_texts texts;

    signature_texts_init(&texts, url, form);
    fuzz_sign(TOKEN, texts.texts[0], texts.lengths[0], signature);
    buf_printf(out,
               "POST /cb%s%s HTTP/1.1\r\nHost: example.com\r\nContent-Type: %s\r\n"
               "X-Twilio-Signature: %s\r\nContent-Length: %zu\r\n\r\n",
               query[0] != '\0' ? "?" : "", query, type, signature, strlen(body));
    buf_add_string(out, body);
    signature_texts_release(&texts);
    free(url);
}

static void add_form(struct buf *out, const char *query, const char *body)
{
    struct form form;

    if (form_parse(body, strlen(body), 100, &form)) {
        const char *account_sid = form_only(&form, "AccountSid");

        is_ours = account_sid != NULL && strcmp(account_sid, ACCOUNT) == 0;
        add_request(out, query, body, "application/x-www-form-urlencoded", &form);
    }
    form_release(&form);
}

static void add_json(struct buf *out, const char *query, const char *body)
{
    char sha256[SIGNATURE_SHA256_SIZE], *signed_query;

    is_ours = false; /* that is for who reads JSON to say */
    signature_sha256(body, strlen(body), sha256);
    signed_query = mem_printf("%s&bodySHA256=%s", query, sha256);
    add_request(out, signed_query, body, "application/json; charset=utf-8", NULL);
    free(signed_query);
}

/* ---- an exchange ---- */

/* Sends all, reads what comes, goes. Returns the status, 0 if there was none. */
static int exchange(const char *bytes, size_t length)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[1024] = "";
    ssize_t count = 0;
    int status = 0;

    must(connect(fd, (struct sockaddr *)&address, address_length) == 0);
    for (int turn = 0; turn < TURNS && count <= 0; turn++) {
        if (length > 0) {
            ssize_t sent = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);

            bytes += sent > 0 ? sent : 0;
            length -= sent > 0 ? (size_t)sent : 0;
        }
        event_base_loop(base, EVLOOP_NONBLOCK);
        count = recv(fd, answer, sizeof answer - 1, MSG_DONTWAIT);
        if (count == 0)
            break;
    }
    if (count > 0)
        must(sscanf(answer, "HTTP/%*d.%*d %d ", &status) == 1);
    close(fd);
    for (int turn = 0; turn < 3; turn++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    return status;
}

static void check_status(int status)
{
    /* 0: it just goes; 100 and 417 are evhttp's own words about "Expect". */
    static const int known[] = {0, 100, 204, 400, 403, 405, 413, 415, 417, 503};
    bool found = false;

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        found = found || status == known[i];
    must(found);
}

/* The parts, signed: taken, if it is a callback about an attempt that we may have written. */
static void check_signed(const struct fuzz_input *input, bool json)
{
    const char *query = fuzz_text(input, 1), *body = fuzz_text(input, 2);
    struct buf request;
    int status;

    /* What would end the request's line early is another request than was signed. */
    if (strpbrk(query, " \r\n\t") != NULL || !fuzz_is_line(query, 4096))
        return;
    buf_init(&request, (size_t)1 << 20);
    (json ? add_json : add_form)(&request, query, body);
    if (request.length > 0) {
        received = 0;
        is_signed = true;
        status = exchange(request.data, request.length);
        is_signed = false;
        check_status(status);
        must(received == 0 || (status == 204 && strchr(query, '#') == NULL));
        must(status != 403 || !is_ours);
    }
    buf_release(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;

    open_once();
    fuzz_split(data, size, &input);
    if (strncmp(fuzz_text(&input, 0), "form", 4) == 0) {
        check_signed(&input, false);
    } else if (strncmp(fuzz_text(&input, 0), "json", 4) == 0) {
        check_signed(&input, true);
    } else {
        received = 0;
        check_status(exchange((const char *)data, size));
        must(received == 0);
    }
    fuzz_release(&input);
    return 0;
}
