#include "worker/settings.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/url.h"

#define HOUR      (3600 * CLOCK_SECOND)
#define COUNT(of) (sizeof(of) / sizeof((of)[0]))
#define AT(field) offsetof(struct settings, field)

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
    {"MMS_TWILIO_TIMEOUT", CONFIG_DURATION, AT(twilio_timeout), "35s",
     "limit of one exchange with Twilio, which itself gives up after about 30 s", CLOCK_SECOND,
     HOUR, NULL, false},
    {"MMS_RECONCILE_DELAY", CONFIG_DURATION, AT(reconcile_delay), "60s",
     "how long after a send whose fate is unknown it is first looked up", CLOCK_SECOND, 24 * HOUR,
     NULL, false},
    {"MMS_LEASE", CONFIG_DURATION, AT(lease), "90s",
     "after which another worker takes over a dead worker's deliveries; more than "
     "MMS_TWILIO_TIMEOUT + 10s",
     CLOCK_SECOND, 24 * HOUR, NULL, false},
    {"MMS_MAX_ATTEMPTS", CONFIG_INTEGER, AT(max_attempts), "5",
     "attempts of a delivery, unless its event has a retry policy", 1, 1000, NULL, false},
    {"MMS_RETRY_BASE", CONFIG_DURATION, AT(retry_base), "30s",
     "first pause before a retry; doubles each time, with full jitter", CLOCK_MS, 24 * HOUR, NULL,
     false},
    {"MMS_RETRY_MAX", CONFIG_DURATION, AT(retry_max), "1h", "longest pause before a retry",
     CLOCK_MS, 7 * 24 * HOUR, NULL, false},
    {"MMS_EXPIRE_AFTER", CONFIG_DURATION, AT(expire_after), "0",
     "a delivery that waited longer is not sent any more; 0: never", 0, 3650 * 24 * HOUR, NULL,
     false},
    {"MMS_HTTP_LISTEN", CONFIG_STRING, AT(http_listen), "127.0.0.1:9464",
     "address:port of /metrics, /healthz and /readyz", 0, 0, NULL, false},
    {"MMS_LOG_LEVEL", CONFIG_CHOICE, AT(log_level), "info", "least level that is logged", 0, 0,
     "debug|info|warn|error", false},
    {"MMS_LOG_FORMAT", CONFIG_CHOICE, AT(log_format), "json", "JSON lines, or text for people", 0,
     0, "json|text", false},
};

#define PREFIX "MMS_"
#define FAMILY "MMS_KAFKA_"

/* What a claimed delivery needs besides the exchange: look-ahead, start window, writing evidence.
 */
#define LEASE_MARGIN (10 * CLOCK_SECOND)

static bool judge_base_url(const struct settings *settings, char *error, size_t size)
{
    const char *url = settings->twilio_base_url;

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

static bool judge_database_url(const struct settings *settings, char *error, size_t size)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(settings->database_url, &why);

    PQconninfoFree(options);
    PQfreemem(why); /* may repeat the password */
    if (options != NULL)
        return true;
    snprintf(error, size,
             "MMS_DATABASE_URL: not valid, expected a URI such as postgresql://user@host:5432/name "
             "or a string such as 'host=… dbname=…'");
    return false;
}

static bool judge_listen(const struct settings *settings, char *error, size_t size)
{
    const char *colon = strrchr(settings->http_listen, ':');
    char *end;
    long port = colon != NULL ? strtol(colon + 1, &end, 10) : -1;

    if (colon != NULL && colon > settings->http_listen && colon[1] != '\0' && *end == '\0' &&
        port >= 0 && port <= 65535)
        return true;
    snprintf(error, size,
             "MMS_HTTP_LISTEN: '%.200s' is not valid, expected address:port such as 127.0.0.1:9464",
             settings->http_listen);
    return false;
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
    return judge_base_url(settings, error, size) && judge_database_url(settings, error, size) &&
           judge_listen(settings, error, size);
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
    return load(table, settings, environment, error, error_size);
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
    return load(rows, settings, environment, error, error_size);
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
        buf_printf(out, "%gs", (double)*(const int64_t *)field / CLOCK_SECOND);
        break;
    default:
        if (setting->offset == AT(database_url))
            describe_database(settings->database_url, out);
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
        buf_init(&values[count], 4096);
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

void settings_help(FILE *out)
{
    config_help(table, COUNT(table), out);
    fprintf(out, "  MMS_KAFKA_<PROPERTY>\n      any property of librdkafka, such as "
                 "MMS_KAFKA_SECURITY_PROTOCOL=SASL_SSL for security.protocol\n");
}
