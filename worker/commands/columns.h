#ifndef WORKER_COMMANDS_COLUMNS_H
#define WORKER_COMMANDS_COLUMNS_H

#include <stdbool.h>

#include "common/buf.h"

/* Text in the columns of a terminal, where a character may take two, or none. Pure. */

/* How many columns `text` (UTF-8) takes. Control characters count as the blank they become. */
int columns_of(const char *text);

/*
 * Appends `text` in exactly `width` columns: padded with blanks, or cut with an ellipsis at its
 * end. What would move the cursor or colour the terminal becomes a blank. `right`: to the right.
 */
void columns_add(struct buf *out, const char *text, int width, bool right);

/* The same, without blanks at the end. */
void columns_add_last(struct buf *out, const char *text, int width);

#endif
