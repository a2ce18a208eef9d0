/* A StatusCallback URL taken apart: where to connect, what to ask for, what to sign, and the
 * "connection overrides" of its fragment, such as "#rc=3&rp=5xx,ct". */
#ifndef SIM_CALLBACK_URL_H
#define SIM_CALLBACK_URL_H

#include <stdbool.h>
#include <stdint.h>

/* Kinds of failure that a callback can be repeated after, as bits. */
enum {
    RETRY_4XX = 1,
    RETRY_5XX = 2,
    RETRY_CONNECT = 4, /* ct */
    RETRY_READ = 8,    /* rt: no answer in time, or none at all */
    RETRY_ALL = 15,
};

struct callback_url {
    char *host, *port;  /* owned, as all strings here; a v6 host without its brackets */
    char *authority;    /* host and port as written, for the Host header */
    char *target;       /* path and query */
    char *without_hash; /* the URL but for its fragment: what is signed */
    int retries;        /* rc, 0 to 5 */
    unsigned retry_on;  /* rp, bits */
    int64_t connect_ms; /* ct */
    int64_t read_ms;    /* rt */
};

/* Returns false for what cannot be called from here: anything but http://host[:port]… without user
 * and password. Release in either case. Values of overrides that make no sense are passed over. */
bool callback_url_parse(struct callback_url *ret_url, const char *url);
void callback_url_release(struct callback_url *url);

#endif
