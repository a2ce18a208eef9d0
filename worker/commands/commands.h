#ifndef WORKER_COMMANDS_COMMANDS_H
#define WORKER_COMMANDS_COMMANDS_H

#include "worker/commands/command.h"

/* What each file of this folder gives to the table in commands.c. */
extern const struct command command_check;
extern const struct command command_destination_list;
extern const struct command command_destination_show;
extern const struct command command_destination_put;
extern const struct command command_destination_patch;
extern const struct command command_destination_enable;
extern const struct command command_destination_disable;
extern const struct command command_destination_test;
extern const struct command command_secret_key;
extern const struct command command_secret_seal;
extern const struct command command_secret_rotate;
extern const struct command command_send;
extern const struct command command_event;
extern const struct command command_attempts;
extern const struct command command_replay;
extern const struct command command_top;
extern const struct command command_prune;
extern const struct command command_probe;
extern const struct command command_completion_bash;
extern const struct command command_version;

#endif
