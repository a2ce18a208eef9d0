/* The sockets of the HTTP server: a listening one from an address, and reading with the kernel's
 * time stamps. */
#ifndef SIM_HTTP_SOCKET_H
#define SIM_HTTP_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "text.h"

/* Returns a non-blocking listening socket with receive time stamps switched on (accepted sockets
 * inherit them), or -1 and the reason in `error`. `address` is "host:port" or "[v6]:port". */
int http_socket_listen(const char *address, char *error, size_t error_size);
/* The port that a socket is bound to, 0 if it cannot be told. */
uint16_t http_socket_port(int fd);

/* Appends up to `size` bytes to `in`; returns as recvmsg does. When something came, *ret_at is when
 * the kernel received the last segment touched (nanoseconds since 1970), or the time of now if the
 * kernel does not say. */
ssize_t http_socket_receive(int fd, struct text *in, size_t size, int64_t *ret_at);

#endif
