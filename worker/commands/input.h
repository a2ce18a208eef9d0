#ifndef WORKER_COMMANDS_INPUT_H
#define WORKER_COMMANDS_INPUT_H

#include <jansson.h>
#include <stddef.h>

#include "worker/commands/command.h"

/* What a command reads from files and from stdin is at most this long. */
#define INPUT_MAX_BYTES ((size_t)1 << 20)

/*
 * The content of a file, or of stdin if its name is "-"; at most INPUT_MAX_BYTES. Owned, with a NUL
 * behind it; NULL after a complaint.
 */
char *input_read(const struct arguments *arguments, const char *name, size_t *ret_length);

/*
 * `length` bytes as JSON; `what` names them in the complaint, after which it is NULL. A new
 * reference.
 */
json_t *input_json(const struct arguments *arguments, const char *what, const char *bytes,
                   size_t length);

/* What people call the file of that name. */
const char *input_name(const char *name);

#endif
