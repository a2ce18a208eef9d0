#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

/*
 * Memory that is always there. A worker may die at any moment without harm (every step it takes is
 * either committed in PostgreSQL or repeated by another worker), so an allocation that fails ends
 * the process with one line on stderr and status 1 rather than being handled at every call.
 * Blocks are released with free().
 *
 * That goes for the libraries too: a program that has heap.c has its malloc(), calloc(),
 * realloc() and free() (glibc's manual, "Replacing malloc"). They never return NULL: what libraries
 * make of it differs (a crash, an abort, a value that is left out, an event that looks as if it
 * were no JSON), here it has one meaning. And every block is overwritten when it is given back:
 * libraries have copies of secrets that we hand to them, and no way to be asked to wipe them
 * (libcurl's headers, libpq's rows, jansson's strings). What isn't on the heap is not covered:
 * stacks, and buffers that live on, such as libpq's for input.
 */

/* Ends the process, as it ends when there is no memory. */
void mem_exhausted(void) __attribute__((noreturn));

/* `size` bytes set to zero. */
void *mem_zalloc(size_t size);

/* `block` (may be NULL) grown or shrunk to `size` bytes, as realloc(). */
void *mem_realloc(void *block, size_t size);

/* A copy of the `length` bytes at `bytes` with a NUL behind them. */
char *mem_copy(const void *bytes, size_t length);

/* A copy of a string; NULL gives NULL. */
char *mem_strdup(const char *string);

/* printf() into a new string. */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Overwrites `length` bytes in a way that the compiler may not remove; for secrets. */
void mem_wipe(void *bytes, size_t length);

#endif
