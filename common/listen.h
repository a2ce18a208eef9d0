#ifndef COMMON_LISTEN_H
#define COMMON_LISTEN_H

#include <event2/http.h>

/* Listening on what a setting says. */

/* `address`: address:port, "127.0.0.1:9464" or "[::1]:0"; port 0 takes any. NULL if it can't be. */
struct evhttp_bound_socket *listen_http(struct evhttp *server, const char *address);

/* The port that was taken, for who gave port 0. */
int listen_port(struct evhttp_bound_socket *socket);

#endif
