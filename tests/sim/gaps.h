/*
 * The distances in time between the create requests in the log that belong together: what shows
 * whether a worker keeps its pace. Computed here so that a long test need not fetch the log.
 */
#ifndef SIM_GAPS_H
#define SIM_GAPS_H

#include "requests_log.h"
#include "text.h"

enum gaps_key { GAPS_BY_TO, GAPS_BY_FROM, GAPS_BY_ACCOUNT };

/* Appends a JSON object: for each recipient (sender, account) {"count", "min_gap_ms", "early"},
 * where count is the number of POSTs to Messages, whatever came of them, and early the number of
 * gaps under 1000 ms exactly. min_gap_ms is null for a single request. */
void gaps_report(const struct requests_log *log, enum gaps_key key, struct text *out);

#endif
