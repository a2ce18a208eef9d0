#include "worker/commands/input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"

const char *input_name(const char *name)
{
    return strcmp(name, "-") == 0 ? "stdin" : name;
}

static char *read_all(const struct arguments *arguments, const char *name, FILE *file,
                      size_t *ret_length)
{
    char *bytes = mem_zalloc(INPUT_MAX_BYTES + 2);

    *ret_length = fread(bytes, 1, INPUT_MAX_BYTES + 1, file);
    if (ferror(file))
        command_failed(arguments, "%s: %m", input_name(name));
    else if (*ret_length > INPUT_MAX_BYTES)
        command_failed(arguments, "%s: more than %zu bytes, expected at most that",
                       input_name(name), INPUT_MAX_BYTES);
    else
        return bytes;
    free(bytes);
    return NULL;
}

char *input_read(const struct arguments *arguments, const char *name, size_t *ret_length)
{
    FILE *file;
    char *bytes;

    if (strcmp(name, "-") == 0)
        return read_all(arguments, name, stdin, ret_length);
    if (strchr(name, '{') != NULL || name[0] == '[' ||
        name[0] == '"') { /* which may have a secret in it: no echo */
        command_failed(arguments, "expected FILE or '-'; this looks like JSON: put it on stdin");
        return NULL;
    }
    file = fopen(name, "re");
    if (file == NULL) {
        command_failed(arguments, "%s: %m", name);
        return NULL;
    }
    bytes = read_all(arguments, name, file, ret_length);
    fclose(file);
    return bytes;
}

json_t *input_json(const struct arguments *arguments, const char *what, const char *bytes,
                   size_t length)
{
    json_t *value = NULL;
    char why[200];

    if (json_parse(bytes, length, &value, why, sizeof why) == JSON_OK)
        return value;
    command_failed(arguments, "%s: %s", what, why);
    return NULL;
}
