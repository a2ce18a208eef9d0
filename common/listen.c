#include "listen.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "mem.h"

struct evhttp_bound_socket *listen_http(struct evhttp *server, const char *address)
{
    const char *colon = strrchr(address, ':');
    bool bracketed = address[0] == '[' && colon[-1] == ']'; /* [::1]:9464 */
    char *host = mem_copy(address + bracketed, (size_t)(colon - address) - (bracketed ? 2U : 0U));
    ev_uint16_t port = (ev_uint16_t)strtol(colon + 1, NULL, 10);
    struct evhttp_bound_socket *socket = evhttp_bind_socket_with_handle(server, host, port);

    free(host);
    return socket;
}

int listen_port(struct evhttp_bound_socket *socket)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v6 = {.sin6_port = 0}};
    socklen_t length = sizeof address;

    if (getsockname(evhttp_bound_socket_get_fd(socket), &address.any, &length) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}
