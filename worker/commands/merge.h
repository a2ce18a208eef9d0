#ifndef WORKER_COMMANDS_MERGE_H
#define WORKER_COMMANDS_MERGE_H

#include <jansson.h>

/*
 * JSON merge patch (RFC 7396): what `target` becomes by `patch`. Null removes a member, an object
 * is merged into the one that is there, anything else replaces. A new reference; `target` (may be
 * NULL: nothing is there) and `patch` stay as they are.
 */
json_t *merge_patch(json_t *target, json_t *patch);

#endif
