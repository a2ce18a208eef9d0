#ifndef WORKER_SID_H
#define WORKER_SID_H

#include <stdbool.h>

/*
 * True if `text` is one of Twilio's SIDs: the two letters of its kind ("AC", "MG", …) and 32
 * letters or digits. Twilio's API description has hexadecimal digits there; the destination's
 * documented example has not, and is to be taken.
 */
bool sid_valid(const char *text, const char *kind);

#endif
