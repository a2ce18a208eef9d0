#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/run.h"
#include "worker/schema.h"
#include "worker/settings.h"

#define EXIT_USAGE 2

extern char **environ;

struct command {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *summary;
    const char *help;
};

static int command_run(int argc, char **argv);
static int command_migrate(int argc, char **argv);
static int command_help(int argc, char **argv);

static const struct command commands[] = {
    {"run", command_run, "run a worker until it is told to stop",
     "usage: mms-worker run\n\n"
     "Takes events from Kafka, sends them as MMS through Twilio at one a second for each\n"
     "destination, and publishes the results. Any number of workers share the work.\n"
     "SIGTERM and SIGINT finish what is in flight.\n"},
    {"migrate", command_migrate, "bring the database's schema up to date",
     "usage: mms-worker migrate\n\n"
     "Applies the migrations that the database (MMS_DATABASE_URL) does not have yet. May be run\n"
     "at any time, by several at once.\n"},
    {"help", command_help, "show this, or help for one command",
     "usage: mms-worker help [COMMAND]\n"},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int wrong_usage(const char *what, const char *word)
{
    fprintf(stderr, "mms-worker: %s: '%s' ('mms-worker help' lists the commands)\n", what, word);
    return EXIT_USAGE;
}

/* For commands without arguments: 0 to go on, otherwise -1 with the status to end with. */
static int take_no_arguments(int argc, char **argv, int *ret_status)
{
    if (argc == 0)
        return 0;
    *ret_status = strcmp(argv[0], "--help") == 0 ? command_help(1, argv - 1)
                                                 : wrong_usage("unexpected argument", argv[0]);
    return -1;
}

static int wrong_settings(struct settings *settings, const char *error)
{
    fprintf(stderr, "mms-worker: %s\n", error);
    settings_release(settings);
    return EXIT_USAGE;
}

static int command_run(int argc, char **argv)
{
    struct settings settings;
    enum log_level level = LOG_INFO;
    char error[512];
    int status;

    if (take_no_arguments(argc, argv, &status) != 0)
        return status;
    if (!settings_load(&settings, environ, error, sizeof error))
        return wrong_settings(&settings, error);
    log_level_parse(settings.log_level, &level);
    log_configure(level, strcmp(settings.log_format, "text") == 0);
    status = run_worker(&settings);
    settings_release(&settings);
    return status;
}

static int command_migrate(int argc, char **argv)
{
    struct settings settings;
    char error[512];
    int status;

    if (take_no_arguments(argc, argv, &status) != 0)
        return status;
    if (!settings_load_database(&settings, environ, error, sizeof error))
        return wrong_settings(&settings, error);
    status = schema_migrate(settings.database_url);
    settings_release(&settings);
    return status;
}

static int command_help(int argc, char **argv)
{
    const struct command *command;

    if (argc > 0) {
        command = find_command(argv[0]);
        if (command == NULL)
            return wrong_usage("no such command", argv[0]);
        fputs(command->help, stdout);
        if (command->main == command_help)
            return EXIT_SUCCESS;
        printf("\nSettings, from the environment:\n");
        settings_help(stdout);
        return EXIT_SUCCESS;
    }
    printf("usage: mms-worker COMMAND\n\ncommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const struct command *command;

    json_object_seed(0); /* before there are threads */
    if (argc < 2) {
        fprintf(stderr, "mms-worker: a command is missing ('mms-worker help' lists them)\n");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return command_help(0, NULL);
    command = find_command(argv[1]);
    if (command == NULL)
        return wrong_usage("no such command", argv[1]);
    return command->main(argc - 2, argv + 2);
}
