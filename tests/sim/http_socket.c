#include "http_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int split_address(const char *address, char *host, size_t host_size, const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    size_t len;

    if (colon == NULL || colon == address || colon[1] == '\0')
        return -1;
    len = (size_t)(colon - address);
    if (address[0] == '[' && colon[-1] == ']') {
        address++;
        len -= 2;
    }
    if (len == 0 || len >= host_size)
        return -1;
    memcpy(host, address, len);
    host[len] = '\0';
    *ret_port = colon + 1;
    return 0;
}

static int open_socket(const struct addrinfo *info)
{
    int yes = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof(yes));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    close(fd);
    return -1;
}

int http_socket_listen(const char *address, char *error, size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    const char *port;
    char host[256];
    int fd, rc;

    if (split_address(address, host, sizeof(host), &port) < 0) {
        snprintf(error, error_size, "cannot listen on '%s': expected HOST:PORT", address);
        return -1;
    }
    rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0) {
        snprintf(error, error_size, "cannot listen on '%s': %s", address, gai_strerror(rc));
        return -1;
    }
    fd = open_socket(found);
    if (fd < 0)
        snprintf(error, error_size, "cannot listen on '%s': %s", address, strerror(errno));
    freeaddrinfo(found);
    return fd;
}

uint16_t http_socket_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name = {.v6 = {.sin6_family = AF_UNSPEC}};
    socklen_t len = sizeof(name);

    if (getsockname(fd, &name.any, &len) != 0)
        return 0;
    return ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The time stamp that the kernel put on the data, else the time of now. */
static int64_t message_time(struct msghdr *message)
{
    struct cmsghdr *part;
    struct timespec stamp;

    for (part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&stamp, CMSG_DATA(part), sizeof(stamp));
        if (stamp.tv_sec > 0)
            return (int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec;
    }
    return now_ns();
}

ssize_t http_socket_receive(int fd, struct text *in, size_t size, int64_t *ret_at)
{
    _Alignas(struct cmsghdr) char control[128];
    struct iovec where;
    struct msghdr message = {.msg_iov = &where, .msg_iovlen = 1, .msg_control = control};
    ssize_t n;

    text_reserve(in, size);
    where = (struct iovec){.iov_base = in->data + in->len, .iov_len = size};
    message.msg_controllen = sizeof(control);
    n = recvmsg(fd, &message, 0);
    if (n <= 0)
        return n;
    in->len += (size_t)n;
    in->data[in->len] = '\0';
    *ret_at = message_time(&message);
    return n;
}
