#ifndef COMMON_SAID_H
#define COMMON_SAID_H

#include <stdbool.h>

/*
 * What has been said of a condition, so that each thing is one log line, however often it is met
 * and however long it lasts. All zero is a condition of which nothing has been said.
 */
#define SAID_MAX 8

struct said {
    int count;
    char texts[SAID_MAX][160];
};

/*
 * Whether `text` is worth a line: true once for each text, and never for more than SAID_MAX of
 * them. How long something took, how often (librdkafka's "(after 12ms …)" at the end) makes no
 * other text.
 */
bool said_is_new(struct said *said, const char *text);

/* The condition has ended; the next one is news. */
void said_forget(struct said *said);

#endif
