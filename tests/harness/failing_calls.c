/*
 * Preloaded before a program of ours (harness/failing.py). The file that FAILING_CALLS names is
 * shared with the test: by it allocations are counted, in all threads and libraries, and one of
 * them fails; reads and writes on sockets and pipes do less than they were asked to, or have to be
 * called again, as a kernel may have it at any time.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* As failing.py has it. */
struct control {
    _Atomic uint64_t counting;    /* allocations are counted */
    _Atomic uint64_t allocations; /* so far */
    _Atomic uint64_t fail_at;     /* the allocation that fails, from 1; 0: none */
    _Atomic uint64_t failed;      /* it did */
    _Atomic uint64_t disturbing;  /* reads and writes are disturbed */
    _Atomic uint64_t transfers;   /* seen since then, by those that never wait */
    _Atomic uint64_t waiting;     /* and by those that may wait */
    _Atomic uint64_t cut;         /* to one byte */
    _Atomic uint64_t again;       /* EAGAIN */
    _Atomic uint64_t interrupted; /* EINTR */
};

static struct control nobody;
static struct control *control = &nobody;

__attribute__((constructor)) static void open_control(void)
{
    const char *path = getenv("FAILING_CALLS");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *shared = fd >= 0 ? mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                           : MAP_FAILED;

    if (fd >= 0)
        close(fd);
    if (shared != MAP_FAILED)
        control = shared;
}

/* ---- allocations ---- */

static int fails(void)
{
    if (control->counting == 0 || ++control->allocations != control->fail_at)
        return 0;
    control->failed = 1;
    errno = ENOMEM;
    return 1;
}

/* The C library's own, whichever of its names it has. */
#define REAL(type, name) \
    static type real;    \
    if (real == NULL)    \
    real = (type)dlsym(RTLD_NEXT, "__libc_" name)

typedef void *allocate(size_t);
typedef void *allocate_two(size_t, size_t);
typedef void *reallocate(void *, size_t);

/* Under both names: a program that has a malloc() of its own calls the other. */
void *__libc_malloc(size_t size)
{
    REAL(allocate *, "malloc");
    return fails() ? NULL : real(size);
}

void *__libc_calloc(size_t count, size_t size)
{
    REAL(allocate_two *, "calloc");
    return fails() ? NULL : real(count, size);
}

void *__libc_realloc(void *block, size_t size)
{
    REAL(reallocate *, "realloc");
    return fails() ? NULL : real(block, size);
}

void *__libc_memalign(size_t alignment, size_t size)
{
    REAL(allocate_two *, "memalign");
    return fails() ? NULL : real(alignment, size);
}

void *malloc(size_t size)
{
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size)
{
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    *block = __libc_memalign(alignment, size);
    return *block == NULL ? ENOMEM : 0;
}

/* ---- reads and writes ---- */

/*
 * How much of `size` bytes a call on `fd` may have; -1 with errno: it has to be repeated. A call
 * that would wait may be interrupted, one that never waits may find nothing (signal(7)). Each kind
 * is counted by itself: the log's few lines are to have their third of disturbances, too.
 */
static ssize_t allowed(int fd, size_t size)
{
    struct stat status;
    bool waits;

    if (control->disturbing == 0 || size < 2 || fstat(fd, &status) != 0 ||
        !(S_ISSOCK(status.st_mode) || S_ISFIFO(status.st_mode)))
        return (ssize_t)size;
    waits = (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
    switch (++*(waits ? &control->waiting : &control->transfers) % 3) {
    case 0:
        control->cut++;
        return 1;
    case 1:
        ++*(waits ? &control->interrupted : &control->again);
        errno = waits ? EINTR : EAGAIN;
        return -1;
    default:
        return (ssize_t)size;
    }
}

ssize_t read(int fd, void *bytes, size_t size)
{
    ssize_t allow = allowed(fd, size);

    return allow < 0 ? -1 : syscall(SYS_read, fd, bytes, (size_t)allow);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    ssize_t allow = allowed(fd, size);

    return allow < 0 ? -1 : syscall(SYS_write, fd, bytes, (size_t)allow);
}

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    ssize_t allow = allowed(fd, size);

    return allow < 0 ? -1 : syscall(SYS_recvfrom, fd, bytes, (size_t)allow, flags, NULL, NULL);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    ssize_t allow = allowed(fd, size);

    return allow < 0 ? -1 : syscall(SYS_sendto, fd, bytes, (size_t)allow, flags, NULL, 0);
}

/* Which pieces a call may have: all of them, or the first byte that there is, in *one; NULL: to be
 * repeated. */
static const struct iovec *allowed_pieces(int fd, const struct iovec *pieces, size_t *count,
                                          struct iovec *one)
{
    size_t size = 0;
    ssize_t allow;

    for (size_t i = *count; i-- > 0; size += pieces[i].iov_len) {
        if (pieces[i].iov_len > 0)
            *one = (struct iovec){pieces[i].iov_base, 1};
    }
    allow = allowed(fd, size);
    if (allow < 0)
        return NULL;
    if ((size_t)allow == size)
        return pieces;
    *count = 1;
    return one;
}

static ssize_t in_pieces(long number, int fd, const struct iovec *pieces, size_t count)
{
    struct iovec one;
    const struct iovec *some = allowed_pieces(fd, pieces, &count, &one);

    return some == NULL ? -1 : syscall(number, fd, some, count);
}

ssize_t readv(int fd, const struct iovec *pieces, int count)
{
    return in_pieces(SYS_readv, fd, pieces, (size_t)count);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    return in_pieces(SYS_writev, fd, pieces, (size_t)count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct msghdr less = *message;
    struct iovec one;

    less.msg_iov = (struct iovec *)allowed_pieces(fd, message->msg_iov, &less.msg_iovlen, &one);
    return less.msg_iov == NULL ? -1 : syscall(SYS_sendmsg, fd, &less, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    struct msghdr whole = *message;
    struct iovec one;
    ssize_t got = -1;

    message->msg_iov =
        (struct iovec *)allowed_pieces(fd, whole.msg_iov, &message->msg_iovlen, &one);
    if (message->msg_iov != NULL)
        got = syscall(SYS_recvmsg, fd, message, flags);
    message->msg_iov = whole.msg_iov;
    message->msg_iovlen = whole.msg_iovlen;
    return got;
}
