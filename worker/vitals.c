#include "worker/vitals.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <stdlib.h>

#include "common/metrics.h"
#include "common/process.h"
#include "worker/version.h"

#define ROLES_MAX 4

static struct {
    const struct pg *pg;
    struct metric connections;
} roles[ROLES_MAX];
static int role_count;

static struct metric build_metric = {
    .name = "mms_build_info",
    .type = "gauge",
    .help = "The versions of the program and of the libraries that it runs with; always 1",
    .value = 1};

static const char *curl_number(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}

static const char *libpq_number(void)
{
    static char text[16];

    snprintf(text, sizeof text, "%d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
    return text;
}

static const char *openssl_number(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}

/* What security updates are about: the libraries as they run, not as they were compiled with. */
static const struct {
    const char *name;
    const char *(*version)(void);
} libraries[] = {
    {"librdkafka", rd_kafka_version_str},
    {"libcurl", curl_number},
    {"libpq", libpq_number},
    {"libevent", event_get_version},
    {"openssl", openssl_number},
    {"libsodium", sodium_version_string},
    {"jansson", jansson_version_str},
};
#define LIBRARIES (sizeof libraries / sizeof libraries[0])
_Static_assert(LIBRARIES < METRIC_LABELS_MAX, "all of them are labels, beside our own version");

void vitals_print_versions(FILE *out)
{
    fprintf(out, "mms-worker %s\n", WORKER_VERSION);
    for (size_t i = 0; i < LIBRARIES; i++)
        fprintf(out, "%s %s\n", libraries[i].name, libraries[i].version());
}

static void update(void *arg)
{
    (void)arg;
    for (int i = 0; i < role_count; i++)
        roles[i].connections.value = pg_connections(roles[i].pg);
}

void vitals_open(void)
{
    build_metric.labels[0] = "version";
    build_metric.labels[1] = WORKER_VERSION;
    for (size_t i = 0; i < LIBRARIES; i++) {
        build_metric.labels[2 * i + 2] = libraries[i].name;
        build_metric.labels[2 * i + 3] = libraries[i].version();
    }
    metrics_register(&build_metric);
    process_register();
    metrics_on_write(update, NULL);
}

void vitals_add_connection(const struct pg *pg, const char *role)
{
    if (role_count == ROLES_MAX)
        abort(); /* a mistake in this program */
    roles[role_count].pg = pg;
    roles[role_count].connections = (struct metric){
        .name = "mms_postgresql_connections_total",
        .type = "counter",
        .help = "Connections to PostgreSQL that were made, by role: the first, and one for each "
                "reconnect",
        .labels = {"role", role}};
    metrics_register(&roles[role_count++].connections);
}
