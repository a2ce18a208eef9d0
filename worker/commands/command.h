#ifndef WORKER_COMMANDS_COMMAND_H
#define WORKER_COMMANDS_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/secret.h"
#include "worker/settings.h"

/*
 * The frame of the subcommands: one description of each drives parsing, --help and completion.
 * Exit status of all of them: one of enum command_exit.
 */
enum command_exit {
    COMMAND_DONE = 0,
    COMMAND_FAILED = 1,  /* it could not be done, or the answer is no; stderr says which and why */
    COMMAND_WRONG = 2,   /* arguments or settings are wrong; one line on stderr */
    COMMAND_PENDING = 3, /* `send --wait`: no final result yet */
};

struct command_option {
    const char *name;  /* without its dashes */
    const char *value; /* what its value is called in the help; NULL: it has none */
    const char *help;
};

/* What has to be set in the environment for a command. */
enum command_needs {
    COMMAND_NEEDS_NOTHING,
    COMMAND_NEEDS_SETTINGS, /* those that are set are valid; none has to be */
    COMMAND_NEEDS_DATABASE,
    COMMAND_NEEDS_ALL
};

#define COMMAND_OPERANDS_MAX 2
#define COMMAND_OPTIONS_MAX  12

struct arguments;

struct command {
    const char *name;     /* "attempts", or of a group: "destination show" */
    const char *operands; /* "ID FILE"; in brackets if it may be left out; NULL: none */
    const char *summary;  /* for the list of commands */
    const char *help;     /* lines */
    const struct command_option *options; /* ends with a NULL name; NULL: none */
    enum command_needs needs;
    int (*run)(const struct arguments *arguments);
    bool lists_settings; /* its help does */
    const char *role;    /* whose rights in the database do for it; NULL: none of roles.sql's */
};

/* What the command was called with; everything is borrowed. */
struct arguments {
    const struct command *command;
    const struct settings *settings; /* NULL if the command needs nothing */
    const char *operands[COMMAND_OPERANDS_MAX];
    int operand_count;
    const char *values[COMMAND_OPTIONS_MAX]; /* by the option's place; NULL: not given */
};

/* All commands, in the order of the help; ends with a NULL. */
extern const struct command *const commands[];

/* The value of an option that the command has ("" if it takes none); NULL if it wasn't given. */
const char *argument(const struct arguments *arguments, const char *option);

/* The value of an option as a duration ("90d") in microseconds; false after a complaint. */
bool argument_duration(const struct arguments *arguments, const char *option, int64_t *ret_us);

/* The value of an option as a number between `min` and `max`; false after a complaint. */
bool argument_integer(const struct arguments *arguments, const char *option, int64_t min,
                      int64_t max, int64_t *ret_value);

/*
 * The secrets that the settings name, to be closed; NULL after a complaint, and the command ends
 * with COMMAND_WRONG.
 */
struct secrets *command_secrets(const struct arguments *arguments);

/* One line on stderr: "mms-worker NAME: …". Returns COMMAND_FAILED. */
int command_failed(const struct arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for what was called in a wrong way. Returns COMMAND_WRONG. */
int command_wrong(const struct arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Finds the command that the words name, parses the rest and runs it. Returns the exit status. */
int command_main(int argc, char **argv, char *const *environment);

/* The help of one command, or with NULL the list of all, on stdout. */
void command_help(const struct command *command);

/* By its name, which may be two words; NULL: there is none. */
const struct command *command_find(const char *name);

#endif
