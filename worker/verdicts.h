#ifndef WORKER_VERDICTS_H
#define WORKER_VERDICTS_H

#include <stdbool.h>

#include "worker/outcome.h"

/*
 * What Twilio's error codes mean to the worker, and what the operator can do about each reason that
 * an attempt may have. Without I/O. All text is static, ASCII, and holds nothing of a destination.
 *
 * An advice is one sentence of at most VERDICTS_ADVICE_MAX characters for somebody who doesn't know
 * Twilio by heart. It begins with what to do: "Nothing …" if the worker does it by itself.
 */
#define VERDICTS_ADVICE_MAX 160

/* One of Twilio's codes. The first four are a verdict's where the code answers a create. */
struct verdict_rule {
    int code;
    enum outcome outcome;
    enum scope scope;
    const char *reason;        /* UPPER_SNAKE; several codes may share one */
    const char *advice;        /* never NULL */
    bool busy, no_mms, varies; /* as in struct verdict */
};

/*
 * The rule of a code, whether a create is answered with it or a message gets it later; NULL if we
 * don't know the code (Twilio adds codes without notice). Facts: the Error and Warning Dictionary,
 * https://www.twilio.com/docs/api/errors.
 */
const struct verdict_rule *verdicts_of_code(int code);

/* What to do about a code, known or not: never NULL. */
const char *verdicts_advice_of_code(int code);

/*
 * What to do about a reason that no code stands behind: the worker's own (CONFIG_INVALID, TIMEOUT,
 * …), or one that was told from the HTTP status alone. "UNKNOWN" is what nobody could find out and
 * a person has to decide. Never NULL, also for a reason that isn't known here.
 */
const char *verdicts_advice(const char *reason);

#endif
