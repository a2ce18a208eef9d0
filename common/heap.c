/*
 * malloc(), calloc(), realloc() and free() of the whole process: what mem.h says of them. Nothing
 * to call. A file of its own, since compilers know too well what these functions do elsewhere.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

/* Sanitizers bring their own, which has to be the only one; other C libraries lack these names. */
#if defined(__has_feature)
#define SANITIZED                                                           \
    (__has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || \
     __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#if defined(__GLIBC__) && !SANITIZED

/* glibc's own names. NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void __libc_free(void *block);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static void *never_null(void *block)
{
    if (block == NULL)
        mem_exhausted();
    return block;
}

static void give_back(void *block)
{
    if (block == NULL)
        return;
    explicit_bzero(block, malloc_usable_size(block));
    __libc_free(block);
}

void *malloc(size_t size)
{
    return never_null(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return never_null(__libc_calloc(count, size));
}

void free(void *block)
{
    give_back(block);
}

/* Never by glibc's, which leaves the old bytes behind when it moves a block. */
void *realloc(void *block, size_t size)
{
    size_t room = block != NULL ? malloc_usable_size(block) : 0;
    void *moved;

    if (block != NULL && size == 0) {
        give_back(block);
        return NULL;
    }
    if (size <= room && size > room / 2)
        return block;
    moved = never_null(__libc_malloc(size));
    if (block != NULL)
        memcpy(moved, block, size < room ? size : room);
    give_back(block);
    return moved;
}

#endif
