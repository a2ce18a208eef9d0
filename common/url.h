#ifndef COMMON_URL_H
#define COMMON_URL_H

#include <stdbool.h>

#include "buf.h"
#include <stddef.h>

/*
 * Rules for URLs that strangers give us. Parsing is libcurl's, so that what we judge is what a
 * client would use (it also folds 0x7f.1 and the like into 127.0.0.1).
 */

/*
 * True if `url` is http or https with a public host: no userinfo; a name with a dot that is not
 * reserved for local use (localhost, .local, .internal, .home.arpa …), or a globally routable
 * address (IANA's special-purpose registries, RFC 6890). Otherwise `why` gets a few words:
 * "is not http or https", "has a private or loopback host", ….
 */
bool url_public(const char *url, char *why, size_t why_size);

/*
 * True if `url` may be given to Twilio as a status callback: http or https, no userinfo, no
 * underscore in its host (Messages resource, StatusCallback). Otherwise `why` gets a few words.
 */
bool url_callback(const char *url, char *why, size_t why_size);

/* True if the host of `url` is loopback: localhost, 127.0.0.0/8 or ::1. */
bool url_loopback(const char *url);

/* True if `url` parses and its scheme is `scheme` ("http", "https"). */
bool url_has_scheme(const char *url, const char *scheme);

/*
 * Appends `url` (any text) as others may see it: a login and the values of its query, which may be
 * keys, are shown as ***. The parameter `kept` is shown as it is; NULL: none is.
 */
void url_show(struct buf *out, const char *url, const char *kept);

#endif
