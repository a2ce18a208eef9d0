#include "worker/accounts.h"

#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg_value.h"
#include "common/said.h"
#include "sql.h"
#include "worker/signature.h"

#define INTERVAL       CLOCK_SECOND
#define FIRST_INTERVAL (100 * CLOCK_MS) /* until everything has been read once */
#define WHOLE_INTERVAL (300 * CLOCK_SECOND)
/* If more was changed than a look at the changes shows, everything is looked at, so soon. */
#define WHOLE_SOON (5 * CLOCK_SECOND)
/* A change is seen when it is committed; its time is when its transaction began. */
#define ALLOWANCE (10 * CLOCK_SECOND)
/* Destinations at a time: an answer of some 200 KB, and nobody else waits long for the connection.
 */
#define PAGE      2000
#define PAUSE_MAX (60 * CLOCK_SECOND)

/* The columns of both statements. */
enum column { C_LAST_ID, C_DESTINATIONS, C_ACCOUNT_SID, C_AUTH_TOKEN, C_UPDATED_AT };

struct accounts {
    struct pg *pg;
    const struct secrets *secrets;
    struct event *timer;
    struct tokens *tokens;
    bool asking;
    bool loaded;
    bool is_full_said;
    int64_t asked_at;  /* monotonic: of the look under way */
    int64_t looked_at; /* what was committed before this less the allowance has been seen */
    int64_t whole_at;  /* when to look at everything; 0: now */
    int64_t pause_until;
    unsigned failures; /* in a row */
    struct said said;
};

static void arm(struct accounts *accounts, int64_t delay)
{
    struct timeval tv = {.tv_sec = delay / CLOCK_SECOND, .tv_usec = delay % CLOCK_SECOND};

    event_add(accounts->timer, &tv);
}

/* `text` is what the destination has, `token` what that stands for. */
static void add(struct accounts *accounts, const char *account_sid, const char *text,
                const char *token, int64_t at)
{
    enum secret_form form = secret_form(text, NULL);
    const char *reference = form == SECRET_ENV || form == SECRET_FILE ? text : NULL;

    if (tokens_add(accounts->tokens, account_sid, token, reference, at) || accounts->is_full_said)
        return;
    accounts->is_full_said = true;
    log_warn("too many Twilio accounts; callbacks of further ones are refused",
             log_int("accounts", TOKENS_ACCOUNTS_MAX));
}

static void take(struct accounts *accounts, const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *account_sid = pg_text(rows, row, C_ACCOUNT_SID);
        const char *text = pg_text(rows, row, C_AUTH_TOKEN);
        char *token = NULL;
        char why[512];

        /* One that can't be had is told by who wants to send with it. */
        if (account_sid != NULL && text != NULL)
            token = secret_reveal(accounts->secrets, text, why, sizeof why);
        if (token != NULL)
            add(accounts, account_sid, text, token, pg_time(rows, row, C_UPDATED_AT));
        secret_free(token);
    }
}

/* True if the answer is one; otherwise the next look waits. */
static bool succeeded(struct accounts *accounts, const struct pg_reply *reply)
{
    if (reply->status == PG_OK) {
        accounts->failures = 0;
        said_forget(&accounts->said);
        return true;
    }
    accounts->asking = false;
    accounts->pause_until =
        clock_now() + backoff_exponential(INTERVAL, PAUSE_MAX, accounts->failures++);
    /* That a connection was lost has been said by who keeps it. */
    if (reply->status == PG_FAILED)
        log_news(said_is_new(&accounts->said, reply->message),
                 "cannot read the auth tokens of destinations, trying again",
                 log_str("error", reply->message));
    return false;
}

/* ---- everything, page by page ---- */

static enum pg_next page_done(void *arg, const struct pg_reply *reply);

static void ask_page(struct accounts *accounts, const char *behind)
{
    struct pg_unit *unit = pg_unit_new(page_done, accounts);

    pg_unit_statement(unit, sql_accounts_whole);
    pg_unit_text(unit, behind);
    pg_unit_int8(unit, PAGE);
    pg_submit(accounts->pg, unit);
}

static enum pg_next page_done(void *arg, const struct pg_reply *reply)
{
    struct accounts *accounts = arg;
    const PGresult *rows;

    if (!succeeded(accounts, reply))
        return PG_FINISHED;
    rows = reply->results[0];
    take(accounts, rows);
    if (pg_int8(rows, 0, C_DESTINATIONS) == PAGE) {
        ask_page(accounts, pg_text(rows, 0, C_LAST_ID));
        return PG_FINISHED;
    }
    tokens_end(accounts->tokens);
    accounts->asking = false;
    accounts->looked_at = accounts->asked_at;
    accounts->whole_at = clock_now() + WHOLE_INTERVAL;
    if (!accounts->loaded)
        log_debug("read the auth tokens of destinations",
                  log_int("accounts", (int64_t)tokens_accounts(accounts->tokens)));
    accounts->loaded = true;
    return PG_FINISHED;
}

/* ---- what was changed ---- */

static enum pg_next changed_done(void *arg, const struct pg_reply *reply)
{
    struct accounts *accounts = arg;
    int64_t soon = clock_now() + WHOLE_SOON;

    if (!succeeded(accounts, reply))
        return PG_FINISHED;
    take(accounts, reply->results[0]);
    accounts->asking = false;
    accounts->looked_at = accounts->asked_at;
    if (PQntuples(reply->results[0]) == PAGE && accounts->whole_at > soon)
        accounts->whole_at = soon;
    return PG_FINISHED;
}

static void ask_changed(struct accounts *accounts)
{
    struct pg_unit *unit = pg_unit_new(changed_done, accounts);

    pg_unit_statement(unit, sql_accounts_changed);
    pg_unit_int8(unit, clock_now() - accounts->looked_at + ALLOWANCE);
    pg_unit_int8(unit, PAGE);
    pg_submit(accounts->pg, unit);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct accounts *accounts = arg;
    int64_t now = clock_now();

    (void)fd;
    (void)what;
    arm(accounts, accounts->loaded ? INTERVAL : FIRST_INTERVAL);
    if (accounts->asking || !pg_is_up(accounts->pg) || now < accounts->pause_until)
        return;
    accounts->asking = true;
    accounts->asked_at = now;
    if (now >= accounts->whole_at) {
        tokens_begin(accounts->tokens);
        ask_page(accounts, "");
    } else {
        ask_changed(accounts);
    }
}

struct accounts *accounts_open(struct event_base *base, struct pg *pg,
                               const struct secrets *secrets)
{
    struct accounts *accounts = mem_zalloc(sizeof *accounts);

    accounts->pg = pg;
    accounts->secrets = secrets;
    accounts->tokens = tokens_new();
    accounts->timer = event_new(base, -1, 0, on_timer, accounts);
    arm(accounts, FIRST_INTERVAL);
    return accounts;
}

void accounts_close(struct accounts *accounts)
{
    if (accounts == NULL)
        return;
    event_free(accounts->timer);
    tokens_free(accounts->tokens);
    free(accounts);
}

bool accounts_loaded(const struct accounts *accounts)
{
    return accounts->loaded;
}

void accounts_learn(struct accounts *accounts, const struct destination *destination)
{
    add(accounts, destination->account_sid, destination->auth_text, destination->auth_token,
        clock_wall());
}

int accounts_tokens(const struct accounts *accounts, const char *account_sid,
                    const char *ret_tokens[TOKENS_OF_ACCOUNT])
{
    return tokens_find(accounts->tokens, account_sid, ret_tokens);
}

static void add_signer(struct buf *out, const char *text)
{
    char sha256[SIGNATURE_SHA256_SIZE];

    signature_sha256(text, strlen(text), sha256);
    buf_printf(out, "%s%s", out->length > 0 ? " " : "", sha256);
}

char *accounts_signers(const struct accounts *accounts, const char *account_sid, const char *token)
{
    const char *references[TOKENS_REFERENCES];
    int count = tokens_references(accounts->tokens, account_sid, token, references);
    struct buf out;

    buf_init(&out, (size_t)(1 + SECRET_KEYS_MAX + TOKENS_REFERENCES) * SIGNATURE_SHA256_SIZE);
    add_signer(&out, token);
    for (int key = 0; key < secrets_keys(accounts->secrets); key++) {
        char *sealed = secrets_seal(accounts->secrets, key, token);

        add_signer(&out, sealed);
        free(sealed);
    }
    for (int i = 0; i < count; i++)
        add_signer(&out, references[i]);
    return buf_detach(&out);
}
