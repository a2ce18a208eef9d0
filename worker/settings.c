#include "worker/settings.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <libpq-fe.h>
#include <openssl/pem.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/kafka_conf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/url.h"
#include "common/utf8.h"

#define HOUR      (3600 * CLOCK_SECOND)
#define DAY       (24 * HOUR)
#define COUNT(of) (sizeof(of) / sizeof((of)[0]))
#define AT(field) offsetof(struct settings, field)
/* Of a setting, in the log. */
#define SHOWN_MAX_BYTES 4096

#define CORE_DUMPS "MMS_CORE_DUMPS"

static const struct config_setting table[] = {
    {"MMS_KAFKA_BOOTSTRAP_SERVERS", CONFIG_STRING, AT(kafka_bootstrap_servers), NULL,
     "Kafka brokers, host:port, comma-separated", 0, 0, NULL, false},
    {"MMS_EVENT_TOPICS", CONFIG_STRING, AT(event_topics), "mms.events",
     "topics with events, comma-separated; a name that begins with ^ is a regular expression", 0, 0,
     NULL, false},
    {"MMS_CONSUMER_GROUP", CONFIG_STRING, AT(consumer_group), "mms-worker",
     "consumer group that all workers share", 0, 0, NULL, false},
    {"MMS_STATUS_TOPIC", CONFIG_STRING, AT(status_topic), "mms.results", "topic for results", 0, 0,
     NULL, false},
    {"MMS_DEAD_LETTER_TOPIC", CONFIG_STRING, AT(dead_letter_topic), "mms.dead-letters",
     "topic for events that were rejected", 0, 0, NULL, false},
    {"MMS_DATABASE_URL", CONFIG_STRING, AT(database_url), "",
     "PostgreSQL: URI or conninfo string; empty: libpq's own PG* variables", 0, 0, NULL, true},
    {"MMS_TWILIO_BASE_URL", CONFIG_STRING, AT(twilio_base_url), "https://api.twilio.com",
     "where Twilio's API is; plain http towards loopback only", 0, 0, NULL, false},
    {"MMS_TWILIO_ALLOW_HTTP", CONFIG_BOOL, AT(twilio_allow_http), "false",
     "allow plain http towards any host (a simulator in another container); sends credentials "
     "in the clear",
     0, 0, NULL, false},
    {"MMS_TWILIO_CA_FILE", CONFIG_STRING, AT(twilio_ca_file), "",
     "PEM file with the authorities that may vouch for Twilio, or for a proxy before it; empty: "
     "the "
     "system's",
     0, 0, NULL, false},
    {"MMS_TWILIO_TIMEOUT", CONFIG_DURATION, AT(twilio_timeout), "35s",
     "limit of one exchange with Twilio, which itself gives up after about 30 s", CLOCK_SECOND,
     HOUR, NULL, false},
    {"MMS_RECONCILE_DELAY", CONFIG_DURATION, AT(reconcile_delay), "60s",
     "how long after a send whose fate is unknown it is looked up; until then Twilio may still "
     "make "
     "the message",
     CLOCK_SECOND, DAY, NULL, false},
    {"MMS_RECONCILE_LIMIT", CONFIG_DURATION, AT(reconcile_limit), "24h",
     "what is still unknown after this is left to a person; below MMS_RECONCILE_DELAY nothing is "
     "looked up",
     CLOCK_SECOND, 365 * DAY, NULL, false},
    {"MMS_LEASE", CONFIG_DURATION, AT(lease), "90s",
     "after which another worker takes over a dead worker's deliveries; at least "
     "MMS_TWILIO_TIMEOUT + 10s",
     CLOCK_SECOND, DAY, NULL, false},
    {"MMS_MAX_ATTEMPTS", CONFIG_INTEGER, AT(max_attempts), "5",
     "attempts of a delivery, unless its event has a retry policy", 1, 1000, NULL, false},
    {"MMS_RETRY_BASE", CONFIG_DURATION, AT(retry_base), "30s",
     "first pause before a retry; doubles each time, with full jitter", CLOCK_MS, DAY, NULL, false},
    {"MMS_RETRY_MAX", CONFIG_DURATION, AT(retry_max), "1h", "longest pause before a retry",
     CLOCK_MS, 7 * DAY, NULL, false},
    {"MMS_EXPIRE_AFTER", CONFIG_DURATION, AT(expire_after), "0",
     "a delivery that waited longer is not sent any more; 0: never", 0, 3650 * DAY, NULL, false},
    {"MMS_HTTP_LISTEN", CONFIG_STRING, AT(http_listen), "127.0.0.1:9464",
     "address:port of /metrics, /healthz and /readyz", 0, 0, NULL, false},
    {"MMS_STATUS_CALLBACK_URL", CONFIG_STRING, AT(status_callback_url), "",
     "public URL at which Twilio reaches MMS_CALLBACK_LISTEN; each message asks for status "
     "callbacks to it; empty: none",
     0, 0, NULL, false},
    {"MMS_CALLBACK_LISTEN", CONFIG_STRING, AT(callback_listen), "",
     "address:port that takes Twilio's status callbacks; empty: none", 0, 0, NULL, false},
    {"MMS_STATUS_POLL_DELAY", CONFIG_DURATION, AT(status_poll_delay), "60s",
     "a message whose status isn't final after this is asked for at Twilio, then again after "
     "growing pauses, for a day",
     CLOCK_SECOND, DAY, NULL, false},
    {"MMS_STATUS_POLL_RATE", CONFIG_INTEGER, AT(status_poll_rate), "5",
     "how many messages a second a worker asks for at most; 0: none", 0, 1000, NULL, false},
    {"MMS_SECRET_DIRECTORIES", CONFIG_STRING, AT(secret_directories), "/run/secrets",
     "directories in which destinations' file:/path may look for secrets, comma-separated", 0, 0,
     NULL, false},
    {"MMS_SECRET_KEY_FILES", CONFIG_STRING, AT(secret_key_files), "",
     "files with the keys of sealed secrets, comma-separated; the first seals, all open", 0, 0,
     NULL, false},
    {"MMS_LOG_LEVEL", CONFIG_CHOICE, AT(log_level), "info", "least level that is logged", 0, 0,
     "debug|info|warn|error", false},
    {"MMS_LOG_FORMAT", CONFIG_CHOICE, AT(log_format), "json", "JSON lines, or text for people", 0,
     0, "json|text", false},
    {"MMS_LOG_PHONE_NUMBERS", CONFIG_BOOL, AT(log_phone_numbers), "false",
     "write phone numbers into the log as they are, instead of +371******00", 0, 0, NULL, false},
    {CORE_DUMPS, CONFIG_BOOL, AT(core_dumps), "false",
     "for developers: a crash may leave a core file, with every secret in it, and debuggers of the "
     "same user may attach",
     0, 0, NULL, false},
};

#define PREFIX "MMS_"
#define FAMILY "MMS_KAFKA_"

/* What a claimed delivery needs besides the exchange: look-ahead, start window, writing evidence.
 */
#define LEASE_MARGIN (10 * CLOCK_SECOND)

static bool judge_base_url(const struct settings *settings, char *error, size_t size)
{
    const char *url = settings->twilio_base_url;

    /* Credentials belong into destinations; a URL is shown in logs, so this one is not repeated. */
    if (strchr(url, '@') != NULL) {
        snprintf(error, size,
                 "MMS_TWILIO_BASE_URL: has a user name in it, expected an https URL without");
        return false;
    }
    if (strpbrk(url, "?#") != NULL) {
        snprintf(error, size,
                 "MMS_TWILIO_BASE_URL: has a query in it, expected an https URL without");
        return false;
    }
    if (url_has_scheme(url, "https") ||
        (url_has_scheme(url, "http") && (settings->twilio_allow_http || url_loopback(url))))
        return true;
    snprintf(
        error, size,
        "MMS_TWILIO_BASE_URL: '%.200s' is not valid, expected an https URL (plain http towards "
        "loopback only, unless MMS_TWILIO_ALLOW_HTTP=true)",
        url);
    return false;
}

/* Said at the start, and not once for each message. */
static bool judge_ca_file(const struct settings *settings, char *error, size_t size)
{
    const char *path = settings->twilio_ca_file;
    FILE *file = path[0] != '\0' ? fopen(path, "re") : NULL;
    X509 *first = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    bool good = path[0] == '\0' || first != NULL;

    if (!good)
        snprintf(error, size,
                 "MMS_TWILIO_CA_FILE: '%.200s' %s, expected a file of PEM certificates", path,
                 file != NULL ? "has no certificate in it" : strerrordesc_np(errno));
    X509_free(first);
    if (file != NULL)
        fclose(file);
    return good;
}

/* Kafka's own rule for names of topics. */
static bool is_topic(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("._-", name[i]) == NULL)
            return false;
    }
    return length >= 1 && length <= 249;
}

static bool judge_topic(const char *setting, const char *name, char *error, size_t size)
{
    if (is_topic(name, strlen(name)))
        return true;
    snprintf(error, size,
             "%s: '%.200s' is not valid, expected a topic: 1 to 249 letters, digits, '.', '_', '-'",
             setting, name);
    return false;
}

/* The length of the next name of a comma list, blanks around it skipped. */
static const char *next_name(const char *list, size_t *ret_length, const char **ret_rest)
{
    size_t length;

    list += strspn(list, " ");
    length = strcspn(list, ",");
    *ret_rest = list[length] == ',' ? list + length + 1 : NULL;
    while (length > 0 && list[length - 1] == ' ')
        length--;
    *ret_length = length;
    return list;
}

/* Whether a pattern is valid, and leaves our own topics alone: reading them would never end. */
static bool judge_pattern(const struct settings *settings, const char *text, size_t length)
{
    char *copy = mem_copy(text, length);
    regex_t regex;
    bool good = regcomp(&regex, copy, REG_EXTENDED | REG_NOSUB) == 0;

    if (good) {
        good = regexec(&regex, settings->status_topic, 0, NULL, 0) != 0 &&
               regexec(&regex, settings->dead_letter_topic, 0, NULL, 0) != 0;
        regfree(&regex);
    }
    free(copy);
    return good;
}

static bool judge_name(const struct settings *settings, const char *name, size_t length)
{
    return is_topic(name, length) &&
           !(strlen(settings->status_topic) == length &&
             strncmp(name, settings->status_topic, length) == 0) &&
           !(strlen(settings->dead_letter_topic) == length &&
             strncmp(name, settings->dead_letter_topic, length) == 0);
}

static bool judge_event_topics(const struct settings *settings, char *error, size_t size)
{
    const char *rest = settings->event_topics;

    while (rest != NULL) {
        size_t length;
        const char *name = next_name(rest, &length, &rest);

        if (name[0] == '^' ? judge_pattern(settings, name, length)
                           : judge_name(settings, name, length))
            continue;
        snprintf(
            error, size,
            "MMS_EVENT_TOPICS: '%.*s' is not valid, expected topics (1 to 249 letters, digits, "
            "'.', '_', '-') or regular expressions that begin with ^, comma-separated, other than "
            "MMS_STATUS_TOPIC and MMS_DEAD_LETTER_TOPIC",
            (int)(length < 200 ? length : 200), name);
        return false;
    }
    return true;
}

static bool judge_properties(const struct settings *settings, char *error, size_t size)
{
    for (size_t i = 0; i < settings->kafka_properties.count; i++) {
        const struct config_pair *pair = &settings->kafka_properties.pairs[i];
        char why[400];
        char *name;

        if (kafka_property_check(pair, why, sizeof why))
            continue;
        name = mem_strdup(pair->name);
        for (char *c = name; *c != '\0'; c++)
            *c = (char)(*c == '.' ? '_' : toupper((unsigned char)*c));
        snprintf(error, size, FAMILY "%.100s: %s", name, why);
        free(name);
        return false;
    }
    return true;
}

static bool judge_kafka(const struct settings *settings, char *error, size_t size)
{
    return judge_event_topics(settings, error, size) &&
           judge_topic("MMS_STATUS_TOPIC", settings->status_topic, error, size) &&
           judge_topic("MMS_DEAD_LETTER_TOPIC", settings->dead_letter_topic, error, size) &&
           judge_properties(settings, error, size);
}

/*
 * An unescaped '/' or '@' makes a part of the password the port, the host or the name, which are
 * logged and shown.
 */
static bool has_split_password(const PQconninfoOption *options)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (o->val == NULL)
            continue;
        if (strcmp(o->keyword, "port") == 0 && strspn(o->val, "0123456789,") != strlen(o->val))
            return true;
        if ((strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "dbname") == 0) &&
            strchr(o->val, '@') != NULL)
            return true;
    }
    return false;
}

static bool judge_database_url(const struct settings *settings, char *error, size_t size)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(settings->database_url, &why);
    bool split = options != NULL && has_split_password(options);
    bool valid = options != NULL;

    PQconninfoFree(options);
    PQfreemem(why); /* may repeat the password */
    if (split) {
        snprintf(error, size,
                 "MMS_DATABASE_URL: not valid, its host, port or name can't be right; in a URI the "
                 "characters / @ : # of a password are written %%2F %%40 %%3A %%23");
        return false;
    }
    if (valid)
        return true;
    snprintf(error, size,
             "MMS_DATABASE_URL: not valid, expected a URI such as postgresql://user@host:5432/name "
             "or a string such as 'host=… dbname=…'");
    return false;
}

/* A name, an IPv4 address, or an IPv6 address with or without brackets. */
static bool is_host(const char *text, size_t length)
{
    bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    char host[256];
    struct in6_addr address;

    snprintf(host, sizeof host, "%.*s", (int)length - (bracketed ? 2 : 0), text + bracketed);
    if (strchr(host, ':') != NULL)
        return inet_pton(AF_INET6, host, &address) == 1;
    return host[0] != '\0' && strpbrk(host, "[]") == NULL;
}

static bool judge_listen(const char *setting, const char *listen, char *error, size_t size)
{
    const char *colon = strrchr(listen, ':');
    size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;

    if (digits > 0 && digits <= 5 && colon[1 + digits] == '\0' &&
        strtol(colon + 1, NULL, 10) <= 65535 && is_host(listen, (size_t)(colon - listen)))
        return true;
    snprintf(error, size, "%s: '%.200s' is not valid, expected address:port such as 127.0.0.1:9464",
             setting, listen);
    return false;
}

static bool judge_callback_url(const char *url, char *error, size_t size)
{
    struct buf shown;
    char why[128];

    if (url[0] == '\0' || url_callback(url, why, sizeof why))
        return true;
    buf_init(&shown, SHOWN_MAX_BYTES);
    url_show(&shown, strchr(url, '@') != NULL ? "…" : url, NULL);
    snprintf(error, size, "MMS_STATUS_CALLBACK_URL: '%.200s' %s, expected an http(s) URL",
             shown.data, why);
    buf_release(&shown);
    return false;
}

/* Who listens has to know what Twilio signs: the URL as it was given to it. */
static bool judge_callback(const struct settings *settings, char *error, size_t size)
{
    if (!judge_callback_url(settings->status_callback_url, error, size))
        return false;
    if (settings->callback_listen[0] == '\0')
        return true;
    if (settings->status_callback_url[0] == '\0') {
        snprintf(error, size,
                 "MMS_CALLBACK_LISTEN: needs MMS_STATUS_CALLBACK_URL, the URL that Twilio signs");
        return false;
    }
    return judge_listen("MMS_CALLBACK_LISTEN", settings->callback_listen, error, size);
}

static bool judge_together(const struct settings *settings, char *error, size_t size)
{
    if (settings->lease < settings->twilio_timeout + LEASE_MARGIN) {
        snprintf(
            error, size,
            "MMS_LEASE: %llds is too short, expected at least MMS_TWILIO_TIMEOUT + 10s (%llds)",
            (long long)(settings->lease / CLOCK_SECOND),
            (long long)((settings->twilio_timeout + LEASE_MARGIN) / CLOCK_SECOND));
        return false;
    }
    if (settings->retry_max < settings->retry_base) {
        snprintf(error, size, "MMS_RETRY_MAX: shorter than MMS_RETRY_BASE");
        return false;
    }
    return judge_base_url(settings, error, size) && judge_ca_file(settings, error, size) &&
           judge_database_url(settings, error, size) &&
           judge_listen("MMS_HTTP_LISTEN", settings->http_listen, error, size) &&
           judge_callback(settings, error, size);
}

/* One line of UTF-8, whatever the value is and wherever it was cut. */
static void keep_to_line(char *error, size_t size)
{
    struct buf line;

    buf_init(&line, size - 1);
    utf8_clean(&line, error, strlen(error));
    snprintf(error, size, "%s", line.data);
    buf_release(&line);
    for (char *c = error; *c != '\0'; c++) {
        if (iscntrl((unsigned char)*c))
            *c = '?';
    }
}

static bool load(const struct config_setting *rows, struct settings *settings,
                 char *const *environment, char *error, size_t error_size)
{
    *settings = (struct settings){.max_attempts = 0};
    return config_load(rows, COUNT(table), PREFIX, FAMILY, environment, settings,
                       &settings->kafka_properties, error, error_size) &&
           judge_together(settings, error, error_size);
}

bool settings_load(struct settings *settings, char *const *environment, char *error,
                   size_t error_size)
{
    if (load(table, settings, environment, error, error_size) &&
        judge_kafka(settings, error, error_size))
        return true;
    keep_to_line(error, error_size);
    return false;
}

bool settings_load_database(struct settings *settings, char *const *environment, char *error,
                            size_t error_size)
{
    struct config_setting rows[COUNT(table)];

    memcpy(rows, table, sizeof table);
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].default_text == NULL)
            rows[i].default_text = "";
    }
    if (load(rows, settings, environment, error, error_size))
        return true;
    keep_to_line(error, error_size);
    return false;
}

void settings_release(struct settings *settings)
{
    config_release(table, COUNT(table), settings, &settings->kafka_properties);
}

/* Where the database is, without how to get in. */
static void describe_database(const char *url, struct buf *out)
{
    static const char *const shown[] = {"host", "hostaddr", "port", "dbname", "user", "sslmode"};
    PQconninfoOption *options = PQconninfoParse(url, NULL);

    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        for (size_t i = 0; i < COUNT(shown); i++) {
            if (o->val != NULL && strcmp(o->keyword, shown[i]) == 0)
                buf_printf(out, "%s%s=%s", out->length > 0 ? " " : "", o->keyword, o->val);
        }
    }
    PQconninfoFree(options);
}

static void describe(const struct config_setting *setting, const struct settings *settings,
                     struct buf *out)
{
    const void *field = (const char *)settings + setting->offset;

    switch (setting->type) {
    case CONFIG_BOOL:
        buf_add_string(out, *(const bool *)field ? "true" : "false");
        break;
    case CONFIG_INTEGER:
        buf_printf(out, "%lld", (long long)*(const int64_t *)field);
        break;
    case CONFIG_DURATION:
        buf_printf(out, "%.15gs", (double)*(const int64_t *)field / CLOCK_SECOND);
        break;
    default:
        if (setting->offset == AT(database_url))
            describe_database(settings->database_url, out);
        else if (setting->offset == AT(status_callback_url))
            url_show(out, settings->status_callback_url, NULL);
        else
            buf_add_string(out, *(char *const *)field);
    }
}

void settings_log(const struct settings *settings)
{
    struct log_field fields[COUNT(table) + 64 + 1];
    struct buf values[COUNT(table)];
    size_t count = 0;

    for (; count < COUNT(table); count++) {
        buf_init(&values[count], SHOWN_MAX_BYTES);
        buf_add_string(&values[count], "");
        describe(&table[count], settings, &values[count]);
        fields[count] = log_str(table[count].name, values[count].data);
    }
    for (size_t i = 0; i < settings->kafka_properties.count && i < 64; i++) {
        const struct config_pair *pair = &settings->kafka_properties.pairs[i];

        fields[count++] =
            log_str(pair->name, config_name_is_secret(pair->name) ? "***" : pair->value);
    }
    fields[count] = (struct log_field){.kind = LOG_FIELD_NONE};
    log_write(LOG_INFO, "settings", fields);
    for (size_t i = 0; i < COUNT(table); i++)
        buf_release(&values[i]);
}

bool settings_allow_core_dumps(char *const *environment)
{
    bool allowed = false;

    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, CORE_DUMPS "=", strlen(CORE_DUMPS "=")) == 0)
            config_parse_bool(*environment + strlen(CORE_DUMPS "="), &allowed);
    }
    return allowed;
}

void settings_help(FILE *out)
{
    config_help(table, COUNT(table), out);
    fprintf(out, "  MMS_KAFKA_<PROPERTY>\n      any property of librdkafka, such as "
                 "MMS_KAFKA_SECURITY_PROTOCOL=SASL_SSL for security.protocol\n");
}
