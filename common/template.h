#ifndef COMMON_TEMPLATE_H
#define COMMON_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/*
 * Text with tokens: `{{path}}`, blanks allowed inside the braces. A path is dotted, array elements
 * by number. It is looked up in the document; a bare name (no dot) that the document does not have
 * is looked up in its member `payload`. Strings render raw, everything else as compact JSON.
 * Rendering is one pass: what a value contains is never looked at again.
 */

/* What to do with a token whose path leads nowhere. */
enum template_missing { TEMPLATE_MISSING_EMPTY, TEMPLATE_MISSING_FAILS };

/*
 * True if `text` is a well-formed template. Otherwise `why` gets a few words: "has '{{' without
 * '}}'", "has an empty token", ….
 */
bool template_valid(const char *text, char *why, size_t why_size);

/*
 * Renders `text`, which must be valid, into `out`. False if a token is missing and that fails
 * (`why` then names it), or if `out` is full (out->overflow is set).
 */
bool template_render(const char *text, const json_t *document, enum template_missing missing,
                     struct buf *out, char *why, size_t why_size);

/*
 * If `text` is exactly one token: the value it names, borrowed from `document`, or NULL if there
 * is none. `ret_is_token` says which of the two NULLs it is.
 */
json_t *template_single_value(const char *text, const json_t *document, bool *ret_is_token);

#endif
