#include <curl/curl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/http.h"
#include "common/json.h"
#include "common/mem.h"
#include "sql.h"
#include "worker/commands/check.h"
#include "worker/destination.h"
#include "worker/twilio.h"
#include "worker/verdicts.h"

#define PAGE "1000" /* rows of destinations at a time */

/* Twilio is not in a hurry for us: so many a second, so many at a time. */
#define ASK_INTERVAL     (CLOCK_SECOND / 5)
#define LIVE_MAX         5
#define UNREACHABLE_MAX  3 /* in a row; then nobody else is asked */
#define ANSWER_MAX       ((size_t)64 << 10)
#define NAMES_SHOWN      5
#define NAMES_MAX_BYTES  ((size_t)8 << 10)
#define MANY_CREDENTIALS 50
#define CLOCK_OFF_MAX    (5 * CLOCK_SECOND)

/* What some destinations have in auth. */
struct credential {
    char *account, *user, *password;
    struct redactor *redactor; /* for what Twilio says */
    struct buf names;          /* of the first destinations */
    int destinations;
    enum { NOT_ASKED, TAKEN, DOUBTFUL, REFUSED } verdict;
    char why[256];
    const char *advice;
    struct credential *next;
    struct asking *asking;
};

struct asking {
    struct check *check;
    struct event_base *base;
    struct http *http;
    struct event *timer;
    struct credential *first, **end; /* in the order of the destinations */
    void *tree;                      /* of tsearch(3): the same, to find them */
    int count;
    struct credential *next; /* to be asked */
    int live;
    int unreachable; /* in a row */
    int enabled, disabled, wrong;
    bool answered; /* Twilio, to the first question */
};

/* ---- credentials ---- */

static int compare(const void *a, const void *b)
{
    const struct credential *one = a, *other = b;
    int order = strcmp(one->account, other->account);

    order = order != 0 ? order : strcmp(one->user, other->user);
    return order != 0 ? order : strcmp(one->password, other->password);
}

static struct credential *credential_new(const struct destination *destination)
{
    struct credential *credential = mem_zalloc(sizeof *credential);

    credential->account = mem_strdup(destination->account_sid);
    credential->user = mem_strdup(destination->user);
    credential->password = mem_strdup(destination->password);
    credential->redactor = twilio_redactor(destination);
    buf_init(&credential->names, NAMES_MAX_BYTES);
    return credential;
}

static void credential_free(struct credential *credential)
{
    explicit_bzero(credential->password, strlen(credential->password));
    free(credential->account);
    free(credential->user);
    free(credential->password);
    redactor_free(credential->redactor);
    buf_release(&credential->names);
    free(credential);
}

static void add_credential(struct asking *asking, const char *id,
                           const struct destination *destination)
{
    struct credential *credential = credential_new(destination);
    struct credential *known = *(struct credential **)tsearch(credential, &asking->tree, compare);

    if (known != credential) {
        credential_free(credential);
    } else {
        *asking->end = credential;
        asking->end = &credential->next;
        credential->asking = asking;
        asking->count++;
    }
    if (known->destinations++ < NAMES_SHOWN)
        buf_printf(&known->names, "%s%s", known->destinations > 1 ? ", " : "", id);
}

/* ---- destinations ---- */

static void take_destination(struct asking *asking, const char *id, const char *type,
                             const char *config)
{
    struct destination destination;
    char why[256];

    asking->enabled++;
    if (destination_parse(type, config, &destination, why, sizeof why) &&
        destination_reveal(&destination, asking->check->secrets, why, sizeof why)) {
        add_credential(asking, id, &destination);
        if (destination.warning[0] != '\0')
            check_say(asking->check, FINDING_WARNING, "destination", NULL, "%s: %s", id,
                      destination.warning);
    } else {
        asking->wrong++;
        check_say(asking->check, FINDING_FAILED, "destination", "Correct its config", "%s: %s", id,
                  why);
    }
    destination_release(&destination);
}

/* The page after the destination `last`, which becomes that of the page. False at the end. */
static bool take_page(struct asking *asking, struct db *db, char **last)
{
    struct check *check = asking->check;
    PGresult *rows =
        db_query(db, sql_check_destinations, DB_PARAMETERS(*last, check->destination, PAGE));
    int count = rows != NULL ? PQntuples(rows) : 0;

    if (rows == NULL)
        check_say(check, FINDING_FAILED, "destination", "Let the role read mms.destinations", "%s",
                  check->trouble);
    for (int i = 0; i < count; i++) {
        if (PQgetvalue(rows, i, 3)[0] == 't')
            asking->disabled++;
        else
            take_destination(asking, PQgetvalue(rows, i, 0), PQgetvalue(rows, i, 1),
                             PQgetvalue(rows, i, 2));
    }
    if (count > 0) {
        free(*last);
        *last = mem_strdup(PQgetvalue(rows, count - 1, 0));
    }
    PQclear(rows);
    return count == strtol(PAGE, NULL, 10);
}

static void take_destinations(struct asking *asking, struct db *db)
{
    struct check *check = asking->check;
    int failed = check->counts[FINDING_FAILED];
    char *last = mem_strdup("");

    while (take_page(asking, db, &last))
        ;
    free(last);
    if (check->counts[FINDING_FAILED] > failed)
        return;
    if (check->destination != NULL && asking->enabled + asking->disabled == 0)
        check_say(check, FINDING_FAILED, "destination", "Check --destination",
                  "there is no destination '%s'", check->destination);
    else
        check_say(check, FINDING_OK, "destination", NULL, "%d valid, %d disabled (not looked at)",
                  asking->enabled - asking->wrong, asking->disabled);
}

/* ---- answers ---- */

static void judge(struct credential *credential, int verdict, const char *advice, const char *why)
{
    credential->verdict = verdict;
    credential->advice = advice;
    snprintf(credential->why, sizeof credential->why, "%s", why);
}

static void judge_error(struct credential *credential, const struct http_response *response,
                        const json_t *body)
{
    const char *message = json_member_string(body, "message");
    int code = (int)json_integer_value(json_member(body, "code"));
    char why[200];

    if (code > 0)
        snprintf(why, sizeof why, "Twilio answered %d, code %d (%.100s)", response->status, code,
                 message != NULL ? message : "");
    else
        snprintf(why, sizeof why, "Twilio answered %d", response->status);
    if (response->status == 429)
        judge(credential, DOUBTFUL, "Check again later", why);
    else
        judge(credential, REFUSED,
              code > 0 ? verdicts_advice_of_code(code)
                       : "Check MMS_TWILIO_BASE_URL, and proxies on the way",
              why);
}

static void judge_account(struct credential *credential, const json_t *body)
{
    const char *status = json_member_string(body, "status");
    const char *type = json_member_string(body, "type");
    char why[200];

    if (status != NULL && strcmp(status, "active") != 0) {
        snprintf(why, sizeof why, "the account is %.100s", status);
        judge(credential, REFUSED, verdicts_advice_of_code(30002), why);
    } else if (type != NULL && strcmp(type, "Trial") == 0) {
        judge(credential, DOUBTFUL, "Upgrade the account",
              "a trial account sends to verified numbers alone");
    } else {
        judge(credential, TAKEN, NULL, "");
    }
}

static void judge_answer(struct credential *credential, const struct http_response *response)
{
    json_t *body = NULL;
    struct buf said;
    char why[200];

    if (response->result != HTTP_ANSWERED) {
        snprintf(why, sizeof why, "no answer from Twilio: %s", response->error);
        judge(credential, REFUSED, "Check MMS_TWILIO_BASE_URL and the network", why);
        return;
    }
    buf_init(&said, ANSWER_MAX);
    redact(credential->redactor, response->body, response->body_length, &said);
    json_parse(said.data != NULL ? said.data : "", said.length, &body, NULL, 0);
    buf_release(&said);
    if (response->status == 200 && json_is_object(body))
        judge_account(credential, body);
    else
        judge_error(credential, response, body);
    json_decref(body);
}

/* ---- asking ---- */

static void arm(struct asking *asking)
{
    event_add(asking->timer, &(struct timeval){.tv_usec = ASK_INTERVAL});
}

static void on_answer(void *arg, const struct http_response *response)
{
    struct credential *credential = arg;
    struct asking *asking = credential->asking;

    asking->live--;
    asking->unreachable = response->result == HTTP_NOT_SENT ? asking->unreachable + 1 : 0;
    judge_answer(credential, response);
    if (asking->unreachable >= UNREACHABLE_MAX)
        asking->next = NULL;
    if (asking->next == NULL && asking->live == 0)
        event_base_loopbreak(asking->base);
}

static void ask(struct asking *asking, struct credential *credential)
{
    /* Only an auth token, and not a standard API key, may read the account. */
    bool key = strcmp(credential->user, credential->account) != 0;
    char *url = mem_printf("%s/2010-04-01/Accounts/%s%s", asking->check->settings->twilio_base_url,
                           credential->account, key ? "/Messages.json?PageSize=1" : ".json");

    asking->live++;
    http_send(asking->http, &(struct http_request){
                                .url = url,
                                .user = credential->user,
                                .password = credential->password,
                                .start_by = CLOCK_FOREVER,
                                .timeout = asking->check->seconds * CLOCK_SECOND,
                                .response_max = ANSWER_MAX,
                                .done = on_answer,
                                .arg = credential,
                            });
    free(url);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct asking *asking = arg;
    struct credential *credential = asking->next;

    (void)fd;
    (void)what;
    if (credential == NULL)
        return;
    if (asking->live < LIVE_MAX) {
        asking->next = credential->next;
        ask(asking, credential);
    }
    arm(asking);
}

static void ask_all(struct asking *asking)
{
    if (asking->count > MANY_CREDENTIALS)
        fprintf(stderr,
                "mms-worker check: asking Twilio about %d credentials, five a second; "
                "--destination checks one\n",
                asking->count);
    asking->next = asking->first;
    if (asking->next == NULL)
        return;
    on_timer(-1, 0, asking);
    event_base_dispatch(asking->base);
}

/* ---- Twilio itself ---- */

static void judge_clock(struct check *check, const struct http_response *response)
{
    const char *text = http_header_value(response, "date");
    time_t date = text != NULL ? curl_getdate(text, NULL) : -1;
    int64_t ahead = clock_wall() - (int64_t)date * CLOCK_SECOND - CLOCK_SECOND / 2;

    if (date == -1)
        return;
    if (ahead > CLOCK_OFF_MAX || ahead < -CLOCK_OFF_MAX)
        check_say(check, FINDING_WARNING, "clock", "Let NTP keep this machine's clock",
                  "this machine is %lld s %s Twilio's clock",
                  (long long)((ahead > 0 ? ahead : -ahead) / CLOCK_SECOND),
                  ahead > 0 ? "ahead of" : "behind");
    else
        check_say(check, FINDING_OK, "clock", NULL, "this machine agrees with Twilio's clock");
}

static void on_reached(void *arg, const struct http_response *response)
{
    struct asking *asking = arg;

    asking->answered = response->result == HTTP_ANSWERED && response->status < 500;
    if (asking->answered) {
        check_say(asking->check, FINDING_OK, "twilio", NULL, "%s answered after %lld ms",
                  asking->check->settings->twilio_base_url,
                  (long long)(response->total_us / CLOCK_MS));
        judge_clock(asking->check, response);
    } else if (response->result == HTTP_ANSWERED) {
        check_say(asking->check, FINDING_FAILED, "twilio", "Try again later", "%s answered %d",
                  asking->check->settings->twilio_base_url, response->status);
    } else {
        check_say(asking->check, FINDING_FAILED, "twilio",
                  response->distrusted
                      ? "Check MMS_TWILIO_BASE_URL; for a proxy's own certificate set "
                        "MMS_TWILIO_CA_FILE (credentials could not be tried)"
                      : "Check MMS_TWILIO_BASE_URL, the network, and proxies (credentials could "
                        "not be tried)",
                  "%s: %s", asking->check->settings->twilio_base_url, response->error);
    }
    event_base_loopbreak(asking->base);
}

/* Whether Twilio can be reached, without any credentials. */
static void reach(struct asking *asking)
{
    char *url = mem_printf("%s/", asking->check->settings->twilio_base_url);

    http_send(asking->http, &(struct http_request){
                                .url = url,
                                .start_by = CLOCK_FOREVER,
                                .timeout = asking->check->seconds * CLOCK_SECOND,
                                .response_max = ANSWER_MAX,
                                .done = on_reached,
                                .arg = asking,
                            });
    free(url);
    event_base_dispatch(asking->base);
}

/* ---- what came of it ---- */

static void say_verdict(struct check *check, const struct credential *credential)
{
    int more = credential->destinations - NAMES_SHOWN;
    char rest[32] = "";

    if (more > 0)
        snprintf(rest, sizeof rest, " and %d more", more);
    check_say(check, credential->verdict == REFUSED ? FINDING_FAILED : FINDING_WARNING,
              "credentials", credential->advice, "of %s%s: %s",
              credential->names.length > 0 ? credential->names.data : "?", rest, credential->why);
}

/* What is wrong, each in a line; the rest together. */
static void say_verdicts(const struct asking *asking)
{
    int taken = 0, left = 0;

    for (const struct credential *c = asking->first; c != NULL; c = c->next) {
        if (c->verdict == TAKEN)
            taken += c->destinations;
        else if (c->verdict == NOT_ASKED)
            left += c->destinations;
        else
            say_verdict(asking->check, c);
    }
    if (left > 0)
        check_say(asking->check, FINDING_FAILED, "credentials",
                  "Check again once Twilio can be reached", "of %d destination%s: not tried", left,
                  left == 1 ? "" : "s");
    if (taken > 0)
        check_say(asking->check, FINDING_OK, "credentials", NULL, "of %d destination%s", taken,
                  taken == 1 ? "" : "s");
}

static void ignore_node(void *node)
{
    (void)node;
}

static void free_all(struct asking *asking)
{
    struct credential *next;

    tdestroy(asking->tree, ignore_node);
    for (struct credential *c = asking->first; c != NULL; c = next) {
        next = c->next;
        credential_free(c);
    }
}

void check_twilio(struct check *check, struct db *db)
{
    struct asking asking = {.check = check};

    asking.end = &asking.first;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    asking.base = event_base_new();
    asking.http = http_open(asking.base, TWILIO_AGENT, check->settings->twilio_ca_file, LIVE_MAX);
    asking.timer = evtimer_new(asking.base, on_timer, &asking);
    reach(&asking);
    if (db != NULL)
        take_destinations(&asking, db);
    if (asking.answered) {
        ask_all(&asking);
        say_verdicts(&asking);
    }
    event_free(asking.timer);
    http_close(asking.http);
    event_base_free(asking.base);
    libevent_global_shutdown();
    curl_global_cleanup();
    free_all(&asking);
}
