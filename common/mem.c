#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mem_exhausted(void)
{
    static const char line[] = "mms-worker: out of memory\n";

    if (write(STDERR_FILENO, line, sizeof line - 1) < 0)
        _exit(1); /* nobody to tell; glibc wants the question asked */
    _exit(1);
}

void *mem_zalloc(size_t size)
{
    void *block = calloc(1, size > 0 ? size : 1);

    if (block == NULL)
        mem_exhausted();
    return block;
}

void *mem_realloc(void *block, size_t size)
{
    void *moved = realloc(block, size > 0 ? size : 1);

    if (moved == NULL)
        mem_exhausted();
    return moved;
}

char *mem_copy(const void *bytes, size_t length)
{
    char *copy = mem_zalloc(length + 1);

    if (length > 0)
        memcpy(copy, bytes, length);
    return copy;
}

char *mem_strdup(const char *string)
{
    return string == NULL ? NULL : mem_copy(string, strlen(string));
}

char *mem_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    int length;

    va_start(args, format);
    length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        mem_exhausted();
    return text;
}

void mem_wipe(void *bytes, size_t length)
{
    if (bytes != NULL)
        explicit_bzero(bytes, length);
}
