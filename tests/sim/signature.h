/* X-Twilio-Signature. */
#ifndef SIM_SIGNATURE_H
#define SIM_SIGNATURE_H

#include "params.h"

/* Appends Base64(HMAC-SHA1(key, url + sorted params)). `url` is signed as it stands: the caller has
 * taken its fragment off. Of a repeated name every value counts, equal ones once. */
void signature_add(struct text *out, const char *key, const char *url, const struct params *params);

#endif
