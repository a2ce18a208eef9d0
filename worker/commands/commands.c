#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "worker/commands/command.h"
#include "worker/commands/commands.h"
#include "worker/run.h"
#include "worker/schema.h"

static int run(const struct arguments *arguments)
{
    struct secrets *secrets = command_secrets(arguments);
    enum log_level level = LOG_INFO;
    int status;

    if (secrets == NULL)
        return COMMAND_WRONG;
    log_level_parse(arguments->settings->log_level, &level);
    log_configure(level, strcmp(arguments->settings->log_format, "text") == 0);
    status = run_worker(arguments->settings, secrets);
    secrets_close(secrets);
    return status;
}

static int migrate(const struct arguments *arguments)
{
    return schema_migrate(arguments->settings->database_url);
}

static int help(const struct arguments *arguments)
{
    const struct command *command = NULL;
    char name[64];

    if (arguments->operand_count > 0) {
        snprintf(name, sizeof name, "%s%s%s", arguments->operands[0],
                 arguments->operand_count > 1 ? " " : "",
                 arguments->operand_count > 1 ? arguments->operands[1] : "");
        command = command_find(name);
        if (command == NULL)
            return command_wrong(arguments, "no such command: '%s' ('mms-worker help' lists them)",
                                 name);
    }
    command_help(command);
    return COMMAND_DONE;
}

static const struct command command_run = {
    "run",
    NULL,
    "run a worker until it is told to stop",
    "Takes events from Kafka, sends them as MMS through Twilio at one a second for each\n"
    "destination, and publishes the results. Any number of workers share the work.\n"
    "SIGTERM and SIGINT finish what is in flight.\n",
    NULL,
    COMMAND_NEEDS_ALL,
    run,
    true,
    "mms_worker",
};

static const struct command command_migrate = {
    "migrate",
    NULL,
    "bring the database's schema up to date",
    "Applies the migrations that the database does not have yet. May be run at any time, by\n"
    "several at once.\n",
    NULL,
    COMMAND_NEEDS_DATABASE,
    migrate,
    false,
    NULL,
};

static const struct command command_of_help = {
    "help",
    "[COMMAND] [WORD]",
    "show the commands, or help for one of them",
    "Shows the commands, or help for one of them.\n",
    NULL,
    COMMAND_NEEDS_NOTHING,
    help,
    false,
    NULL,
};

/* clang-format off */
const struct command *const commands[] = {
    &command_run,
    &command_migrate,
    &command_check,
    &command_destination_list,
    &command_destination_show,
    &command_destination_put,
    &command_destination_patch,
    &command_destination_enable,
    &command_destination_disable,
    &command_destination_test,
    &command_secret_key,
    &command_secret_seal,
    &command_secret_rotate,
    &command_send,
    &command_event,
    &command_attempts,
    &command_replay,
    &command_top,
    &command_prune,
    &command_probe,
    &command_completion_bash,
    &command_version,
    &command_of_help,
    NULL,
};
/* clang-format on */
