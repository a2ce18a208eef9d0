#ifndef WORKER_SETTINGS_H
#define WORKER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/config.h"

/* The worker's settings, from MMS_* environment variables; durations are in microseconds. */
struct settings {
    char *kafka_bootstrap_servers;
    char *event_topics;
    char *consumer_group;
    char *status_topic;
    char *dead_letter_topic;
    char *database_url;
    char *twilio_base_url;
    bool twilio_allow_http;
    char *twilio_ca_file; /* "": the system's authorities */
    int64_t twilio_timeout;
    int64_t reconcile_delay;
    int64_t reconcile_limit;
    int64_t lease;
    int64_t max_attempts;
    int64_t retry_base;
    int64_t retry_max;
    int64_t expire_after; /* 0: never */
    char *http_listen;
    char *status_callback_url; /* "": Twilio isn't asked to call back */
    char *callback_listen;     /* "": nobody listens */
    int64_t status_poll_delay;
    int64_t status_poll_rate; /* a second; 0: never */
    char *secret_directories; /* comma list */
    char *secret_key_files;   /* comma list; "": none */
    char *log_level;
    char *log_format;
    bool log_phone_numbers;
    bool core_dumps;
    struct config_pairs kafka_properties; /* MMS_KAFKA_*: passed to librdkafka */
};

/* Room for 200 bytes of a value, each of which may become U+FFFD, and for what was expected. */
#define SETTINGS_ERROR_SIZE 1024

/*
 * Reads the environment. False if something is wrong: `error` then has one line that names the
 * setting and what was expected; nothing of it is cut with SETTINGS_ERROR_SIZE. Release in either
 * case.
 */
bool settings_load(struct settings *settings, char *const *environment, char *error,
                   size_t error_size);

/*
 * For subcommands that need the database alone: MMS_KAFKA_BOOTSTRAP_SERVERS may be missing,
 * everything that is set is judged all the same.
 */
bool settings_load_database(struct settings *settings, char *const *environment, char *error,
                            size_t error_size);

void settings_release(struct settings *settings);

/* Logs every setting on one line, secrets masked. */
void settings_log(const struct settings *settings);

/*
 * Whether the environment allows core dumps: known before anything else, for secrets are in memory
 * from the beginning on.
 */
bool settings_allow_core_dumps(char *const *environment);

/* The table of settings for --help. */
void settings_help(FILE *out);

#endif
