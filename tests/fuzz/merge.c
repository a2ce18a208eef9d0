/* `destination patch`: RFC 7396, by its own pseudocode. */
#include "worker/commands/merge.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/commands/row.h"

/* The RFC's section 2, word for word; a new reference. */
static json_t *by_the_book(const json_t *target, const json_t *patch)
{
    json_t *result;
    const char *name;
    const json_t *value;

    if (!json_is_object(patch))
        return json_deep_copy(patch);
    result = json_is_object(target) ? json_deep_copy(target) : json_object();
    json_object_foreach((json_t *)patch, name, value)
    {
        json_t *old = json_incref(json_object_get(result, name));

        json_object_del(result, name);
        if (!json_is_null(value))
            json_object_set_new(result, name, by_the_book(old, value));
        json_decref(old);
    }
    return result;
}

static void check_merge(json_t *target, json_t *patch)
{
    json_t *target_before = json_deep_copy(target), *patch_before = json_deep_copy(patch);
    json_t *merged = merge_patch(target, patch), *expected = by_the_book(target, patch);
    json_t *again = merge_patch(merged, patch);

    must(json_equal(merged, expected));
    must(json_equal(again, merged));
    must(target == NULL || json_equal(target, target_before));
    must(json_equal(patch, patch_before));
    json_decref(merged);
    json_decref(expected);
    json_decref(again);
    json_decref(target_before);
    json_decref(patch_before);
}

/* What `destination patch` says of a row. */
static void check_row(json_t *row, json_t *other)
{
    char why[ROW_WHY] = "", warning[ROW_WHY] = "";
    char *none = row_changes(row, row), *changes = row_changes(row, other);
    char *text = row_text(row, JSON_COMPACT);
    json_t *back = json_loads(text, JSON_DECODE_ANY, NULL);

    must(json_equal(back, row));
    if (row_judge(row, why, warning))
        must(warning[0] == '\0' || fuzz_is_line(warning, sizeof warning));
    else
        must(fuzz_is_line(why, sizeof why));
    must(none[0] == '\0' || !json_is_object(json_object_get(row, "config")));
    json_decref(back);
    free(text);
    free(none);
    free(changes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    json_t *target, *patch;

    fuzz_split(data, size, &input);
    target = fuzz_json(&input, 0);
    patch = fuzz_json(&input, 1);
    if (patch != NULL)
        check_merge(target, patch);
    if (target != NULL && patch != NULL)
        check_row(target, patch);
    json_decref(target);
    json_decref(patch);
    fuzz_release(&input);
    return 0;
}
