#include "worker/commands/commands.h"
#include "worker/vitals.h"

static int version(const struct arguments *arguments)
{
    (void)arguments;
    vitals_print_versions(stdout);
    return COMMAND_DONE;
}

const struct command command_version = {
    "version",
    NULL,
    "show the versions of the program and its libraries",
    "Shows the versions of the program and of the libraries that it runs with, a line each.\n",
    NULL,
    COMMAND_NEEDS_NOTHING,
    version,
    false,
    NULL,
};
