#include "worker/commands/merge.h"

json_t *merge_patch(json_t *target, json_t *patch)
{
    json_t *merged, *value;
    const char *name;

    if (!json_is_object(patch))
        return json_deep_copy(patch);
    merged = json_is_object(target) ? json_copy(target) : json_object();
    json_object_foreach(patch, name, value)
    {
        if (json_is_null(value))
            json_object_del(merged, name);
        else
            json_object_set_new(merged, name, merge_patch(json_object_get(target, name), value));
    }
    return merged;
}
