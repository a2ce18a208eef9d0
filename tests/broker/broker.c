/*
 * mms-broker: the embedded broker of the demo and of tests that need no real Kafka.
 *
 * It is librdkafka's mock cluster with a command line: one broker on a free port of 127.0.0.1,
 * topics created before the address is told to anybody, everything in memory. README.md says what
 * it isn't.
 */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PARTITIONS 1000
#define MAX_TOPIC_NAME 249 /* Kafka's own limit */

static const char usage_text[] =
    "usage: mms-broker [--topic NAME:PARTITIONS]... [--port-file PATH]\n"
    "An in-memory broker for demonstrations and tests. Prints \"listening on HOST:PORT\" and runs\n"
    "until SIGTERM or SIGINT. With --port-file, HOST:PORT is also in that file while it runs.\n";

/* What the command line asked for. All pointers are borrowed from argv. */
struct options {
    const char **topics; /* NAME:PARTITIONS, checked only when they are created */
    size_t topic_count;
    const char *port_file; /* NULL: none wanted */
};

/* Prints one line on stderr and ends the program: status 2 is a wrong argument, 1 anything else. */
static void die(int status, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

static void die(int status, const char *format, ...)
{
    va_list arguments;

    fputs("mms-broker: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(status);
}

/* The argument of the option at argv[*index], which it moves on to. */
static const char *option_argument(int argc, char **argv, int *index)
{
    if (*index + 1 >= argc)
        die(2, "%s needs an argument", argv[*index]);
    *index += 1;
    return argv[*index];
}

/* Fills options; options->topics is allocated and the caller's to free. */
static void parse_options(int argc, char **argv, struct options *options)
{
    *options = (struct options){.topics = calloc((size_t)argc, sizeof(*options->topics))};
    if (options->topics == NULL)
        die(1, "out of memory");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--topic") == 0) {
            options->topics[options->topic_count++] = option_argument(argc, argv, &i);
        } else if (strcmp(argv[i], "--port-file") == 0) {
            options->port_file = option_argument(argc, argv, &i);
        } else if (strcmp(argv[i], "--help") == 0) {
            fputs(usage_text, stdout);
            exit(0);
        } else {
            die(2, "unknown argument '%s'; --help lists what there is", argv[i]);
        }
    }
}

/* Creates the topic that NAME:PARTITIONS describes. */
static void create_topic(rd_kafka_mock_cluster_t *cluster, const char *description)
{
    char name[MAX_TOPIC_NAME + 1];
    const char *colon = strrchr(description, ':');
    char *end = NULL;
    long partitions = colon != NULL ? strtol(colon + 1, &end, 10) : 0;

    if (colon == NULL || *end != '\0' || partitions < 1 || partitions > MAX_PARTITIONS)
        die(2, "--topic wants NAME:PARTITIONS (1 to %d), not '%s'", MAX_PARTITIONS, description);
    if (colon == description || colon - description > MAX_TOPIC_NAME)
        die(2, "--topic wants a name of 1 to %d characters: '%s'", MAX_TOPIC_NAME, description);
    memcpy(name, description, (size_t)(colon - description));
    name[colon - description] = '\0';

    rd_kafka_resp_err_t error = rd_kafka_mock_topic_create(cluster, name, (int)partitions, 1);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        die(1, "can't create the topic '%s': %s", name, rd_kafka_err2str(error));
}

/* Puts address into the file at path in one step: whoever sees the file, sees all of it. */
static void write_port_file(const char *path, const char *address)
{
    char *partial = NULL;

    if (asprintf(&partial, "%s.%ld", path, (long)getpid()) < 0)
        die(1, "out of memory");
    FILE *file = fopen(partial, "we");
    if (file == NULL)
        die(1, "can't write '%s': %s", partial, strerror(errno));
    int written = fprintf(file, "%s\n", address);
    if (fclose(file) != 0 || written < 0 || rename(partial, path) != 0) {
        int reason = errno;
        unlink(partial);
        die(1, "can't write '%s': %s", path, strerror(reason));
    }
    free(partial);
}

/* The librdkafka instance that the mock cluster lives in; it never connects to anything. */
static rd_kafka_t *new_host(void)
{
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    /* Errors only: librdkafka would warn on each start that this instance has no broker to talk to.
     */
    if (rd_kafka_conf_set(conf, "log_level", "3", reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
        die(1, "can't configure librdkafka: %s", reason);
    rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (host == NULL)
        die(1, "can't start librdkafka: %s", reason);
    return host;
}

int main(int argc, char **argv)
{
    struct options options;
    sigset_t stop_signals;
    int stopped_by;

    parse_options(argc, argv, &options);

    /* Before librdkafka starts its threads, so that they inherit it and sigwait() gets the signal.
     */
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop_signals, NULL);

    rd_kafka_t *host = new_host();
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(host, 1);
    if (cluster == NULL)
        die(1, "can't start librdkafka's mock cluster");
    for (size_t i = 0; i < options.topic_count; i++)
        create_topic(cluster, options.topics[i]);

    const char *address = rd_kafka_mock_cluster_bootstraps(cluster);
    if (options.port_file != NULL)
        write_port_file(options.port_file, address);
    printf("listening on %s\n", address);
    fflush(stdout);

    sigwait(&stop_signals, &stopped_by);

    if (options.port_file != NULL)
        unlink(options.port_file); /* a stale address would send someone to a stranger's port */
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
    free(options.topics);
    return 0;
}
