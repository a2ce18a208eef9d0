#ifndef COMMON_FLOOD_H
#define COMMON_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A bound on how often the same is said: the first FLOOD_MAX of a text within FLOOD_WINDOW are,
 * the others are counted, and the count is said when the window ends. All zero is a start.
 * Moments are whatever monotonic clock the caller has, in microseconds.
 */
#define FLOOD_MAX    10
#define FLOOD_WINDOW INT64_C(10000000)
#define FLOOD_TEXTS  32

struct flood_text {
    char text[96]; /* its beginning */
    int kind;
    int64_t until; /* the end of its window */
    int64_t said, held;
};

struct flood {
    struct flood_text texts[FLOOD_TEXTS];
};

/*
 * Whether `text` may be said; texts of another kind are others. Whatever has ended must have been
 * taken before. What there is no room to remember may be said.
 */
bool flood_admits(struct flood *flood, int kind, const char *text, int64_t now);

/*
 * A text whose window has ended by `now` and of which some were held back: *ret_text is a copy with
 * their count, and it is forgotten. False if there is none (any more).
 */
bool flood_take_ended(struct flood *flood, int64_t now, struct flood_text *ret_text);

/* When the next window ends in which some were held back; INT64_MAX: none. */
int64_t flood_next_end(const struct flood *flood);

#endif
