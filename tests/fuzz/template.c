/* Templates against a second, slow implementation; and that what a value has is never rendered. */
#include "common/template.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"

#define ROOM ((size_t)1 << 20)

/* ---- the other implementation ---- */

static const json_t *walk(const json_t *value, char *path)
{
    char *rest = NULL;

    for (char *step = strtok_r(path, ".", &rest); step != NULL; step = strtok_r(NULL, ".", &rest)) {
        if (json_is_array(value) && strspn(step, "0123456789") == strlen(step) && strlen(step) <= 9)
            value = json_array_get(value, strtoul(step, NULL, 10));
        else
            value = json_is_object(value) ? json_object_get(value, step) : NULL;
        if (value == NULL)
            return NULL;
    }
    return value;
}

static const json_t *find(const json_t *document, const char *path)
{
    char *copy = mem_strdup(path);
    const json_t *found = walk(document, copy);

    if (found == NULL && strchr(path, '.') == NULL) {
        memcpy(copy, path, strlen(path));
        found = walk(json_object_get(document, "payload"), copy);
    }
    free(copy);
    return found;
}

static void add_value(struct buf *out, const json_t *value)
{
    char *text = json_is_string(value) ? NULL : fuzz_json_text(value);

    buf_add_string(out, text != NULL ? text : json_string_value(value));
    free(text);
}

/* Of a valid template. False if a token is missing. */
static bool expect(const char *text, const json_t *document, struct buf *out)
{
    bool complete = true;

    while (*text != '\0') {
        const char *end = strncmp(text, "{{", 2) == 0 ? strstr(text + 2, "}}") : NULL;
        const json_t *value;
        char *path;

        if (end == NULL) {
            buf_add_char(out, *text++);
            continue;
        }
        text += 2 + strspn(text + 2, " \t\r\n");
        path = mem_copy(text, strcspn(text, " \t\r\n}"));
        value = find(document, path);
        if (value != NULL)
            add_value(out, value);
        complete = complete && value != NULL;
        text = end + 2;
        free(path);
    }
    return complete;
}

/* ---- properties ---- */

static void check_render(const char *template, const json_t *document)
{
    struct buf expected, found, strict, small;
    char why[192] = "";
    bool complete, is_token;
    json_t *single;

    buf_init(&expected, ROOM);
    buf_init(&found, ROOM);
    buf_init(&strict, ROOM);
    complete = expect(template, document, &expected);
    buf_add_string(&expected, "");
    must(template_render(template, document, TEMPLATE_MISSING_EMPTY, &found, why, sizeof why));
    must(strcmp(found.data, expected.data) == 0);
    must(fuzz_is_utf8(found.data, found.length));
    must(template_render(template, document, TEMPLATE_MISSING_FAILS, &strict, why, sizeof why) ==
         complete);
    must(complete ? strcmp(strict.data, expected.data) == 0 : fuzz_is_line(why, sizeof why));

    buf_init(&small, expected.length / 2);
    must(template_render(template, document, TEMPLATE_MISSING_EMPTY, &small, why, sizeof why) ==
         (expected.length == 0));
    must(small.length <= expected.length / 2 && small.overflow == (expected.length > 0));
    must(expected.length == 0 || strncmp(expected.data, small.data, small.length) == 0);

    single = template_single_value(template, document, &is_token);
    must(is_token || single == NULL);
    buf_clear(&strict);
    if (single != NULL) {
        add_value(&strict, single);
        must(strcmp(strict.data, expected.data) == 0);
    }
    buf_release(&expected);
    buf_release(&found);
    buf_release(&strict);
    buf_release(&small);
}

/* Any text is rendered as it is, if it comes as a value, however many braces it has. */
static void check_value(const char *text)
{
    json_t *document = json_pack("{s:{s:s}}", "payload", "v", text);
    struct buf out;
    char why[192];

    if (document == NULL)
        return; /* not UTF-8 */
    buf_init(&out, ROOM);
    must(template_render("<{{ v }}{{payload.v}}>", document, TEMPLATE_MISSING_FAILS, &out, why,
                         sizeof why));
    must(out.length == 2 * strlen(text) + 2 && strncmp(out.data + 1, text, strlen(text)) == 0 &&
         strncmp(out.data + 1 + strlen(text), text, strlen(text)) == 0);
    buf_release(&out);
    json_decref(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    const char *template;
    json_t *document;
    char why[96] = "";

    fuzz_split(data, size, &input);
    template = fuzz_text(&input, 0);
    document = fuzz_json(&input, 1);
    check_value(template);
    if (!template_valid(template, why, sizeof why)) {
        must(strstr(template, "{{") != NULL);
        must(fuzz_is_line(why, sizeof why));
    } else if (fuzz_is_utf8(template, strlen(template))) {
        if (document == NULL)
            document = json_object();
        check_render(template, document);
    }
    json_decref(document);
    fuzz_release(&input);
    return 0;
}
