/*
 * Every block of the heap is overwritten when it is given back: ours, and those of the libraries,
 * which have copies of what we hand to them and no way to be asked for it (libcurl's headers,
 * libpq's rows, jansson's strings, OpenSSL's buffers, stdio's). So a secret is in memory for as
 * long as somebody uses it, and in no core file or swapped page later.
 *
 * glibc lets a program bring its own free() and realloc(); its manual, "Replacing malloc", says
 * how. These two stand in front of whatever allocator there is (LD_PRELOAD may have another). What
 * isn't on the heap is not their business: stacks, and buffers that live on, such as libpq's for
 * input.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_OWN_ALLOCATOR 1 /* AddressSanitizer's has to be the only one */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || \
    __has_feature(thread_sanitizer)
#define HAS_OWN_ALLOCATOR 1
#endif
#endif

#ifndef HAS_OWN_ALLOCATOR

typedef void free_fn(void *block);

/* The allocator's own. Threads may look it up at the same time, and find the same. */
static free_fn *allocators_free(void)
{
    static _Atomic(free_fn *) known;
    free_fn *found = atomic_load_explicit(&known, memory_order_relaxed);

    if (found == NULL) {
        *(void **)&found = dlsym(RTLD_NEXT, "free");
        if (found == NULL)
            abort();
        atomic_store_explicit(&known, found, memory_order_relaxed);
    }
    return found;
}

void free(void *block)
{
    if (block == NULL)
        return;
    explicit_bzero(block, malloc_usable_size(block));
    allocators_free()(block);
}

/* Never by the allocator's, which leaves the old bytes behind when it moves a block. */
void *realloc(void *block, size_t size)
{
    size_t room = block != NULL ? malloc_usable_size(block) : 0;
    void *moved;

    if (block != NULL && size == 0) {
        free(block);
        return NULL;
    }
    if (size <= room && size > room / 2)
        return block;
    moved = malloc(size > 0 ? size : 1);
    if (moved == NULL)
        return NULL;
    if (block != NULL)
        memcpy(moved, block, size < room ? size : room);
    free(block);
    return moved;
}

#endif
