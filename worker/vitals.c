#include "worker/vitals.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>
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

static char libpq_version[16];

static struct metric build_metric = {
    .name = "mms_build_info",
    .type = "gauge",
    .help = "The versions of the program and of the libraries that it runs with; always 1",
    .value = 1};

static const char *name_libpq(void)
{
    snprintf(libpq_version, sizeof libpq_version, "%d.%d", PQlibVersion() / 10000,
             PQlibVersion() % 10000);
    return libpq_version;
}

void vitals_print_versions(FILE *out)
{
    fprintf(out, "mms-worker %s\n", WORKER_VERSION);
    fprintf(out, "librdkafka %s\n", rd_kafka_version_str());
    fprintf(out, "libcurl %s\n", curl_version_info(CURLVERSION_NOW)->version);
    fprintf(out, "libpq %s\n", name_libpq());
    fprintf(out, "libevent %s\n", event_get_version());
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
    build_metric.labels[2] = "librdkafka";
    build_metric.labels[3] = rd_kafka_version_str();
    build_metric.labels[4] = "libcurl";
    build_metric.labels[5] = curl_version_info(CURLVERSION_NOW)->version;
    build_metric.labels[6] = "libpq";
    build_metric.labels[7] = name_libpq();
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
