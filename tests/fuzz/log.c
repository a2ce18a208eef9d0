/* Log lines: one line whatever is said, JSON for machines, and no phone number in it. */
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

#include "common/e164.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"

#define FIELDS    4
#define VALUE_MAX 2048

static const char *const names[FIELDS] = {"one", "two", "three", "four"};

static char *write_line(const char *message, char *const *values, size_t *ret_length)
{
    struct log_field fields[FIELDS + 1];

    for (int i = 0; i < FIELDS; i++)
        fields[i] = log_str(names[i], values[i]);
    fields[FIELDS] = LOG_END;
    fuzz_capture();
    log_write(LOG_INFO, message, fields);
    return fuzz_captured(ret_length);
}

static void check_line(const char *line, size_t length)
{
    must(length > 0 && line[length - 1] == '\n');
    must(fuzz_is_utf8(line, length));
    for (size_t i = 0; i + 1 < length; i++)
        must((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
    must(memmem(line, length, "\xc2\x9b", 2) == NULL); /* C1's "escape [" */
}

/* As it is to be found in the line: its beginning, numbers masked. */
static void check_value(const json_t *found, const char *value)
{
    size_t length = json_string_length(found);
    char *masked = mem_strdup(value);

    must(json_is_string(found));
    must(length == strlen(value) || (length <= VALUE_MAX && length > VALUE_MAX - 4));
    masked[length] = '\0';
    e164_mask(masked);
    must(strcmp(masked, json_string_value(found)) == 0);
    free(masked);
}

static void check_json(const char *message, char *const *values)
{
    size_t length;
    char *line;
    json_t *json;

    log_configure(LOG_INFO, false);
    line = write_line(message, values, &length);
    check_line(line, length);
    json = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    must(json_is_object(json));
    for (int i = 0; i < FIELDS; i++) {
        if (values[i] == NULL)
            must(json_object_get(json, names[i]) == NULL);
        else if (fuzz_is_utf8(values[i], strlen(values[i])))
            check_value(json_object_get(json, names[i]), values[i]);
        else
            must(json_is_string(json_object_get(json, names[i])));
    }
    json_decref(json);
    free(line);
}

static void check_text(const char *message, char *const *values)
{
    size_t length;
    char *line;

    log_configure(LOG_INFO, true);
    line = write_line(message, values, &length);
    check_line(line, length);
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *values[FIELDS] = {NULL};
    struct fuzz_input input;

    fuzz_split(data, size, &input);
    for (int i = 0; i < FIELDS && i < input.count; i++)
        values[i] = input.pieces[i];
    check_json("something happened", values);
    check_text("something happened", values);
    fuzz_release(&input);
    return 0;
}
