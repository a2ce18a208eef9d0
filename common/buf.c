#include "buf.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_release(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->max);
}

void buf_clear(struct buf *buf)
{
    buf->length = 0;
    buf->overflow = false;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

/* Room for `more` bytes and a NUL. */
static bool buf_reserve(struct buf *buf, size_t more)
{
    size_t capacity = buf->capacity > 0 ? buf->capacity : 64;

    if (more > buf->max - buf->length) {
        buf->overflow = true;
        return false;
    }
    while (capacity < buf->length + more + 1)
        capacity *= 2;
    if (capacity != buf->capacity) {
        buf->data = mem_realloc(buf->data, capacity);
        buf->capacity = capacity;
    }
    return true;
}

bool buf_add(struct buf *buf, const void *bytes, size_t length)
{
    size_t room = buf->max - buf->length;
    size_t fits = length < room ? length : room;

    buf_reserve(buf, fits);
    if (fits > 0)
        memcpy(buf->data + buf->length, bytes, fits);
    buf->length += fits;
    buf->data[buf->length] = '\0';
    buf->overflow = buf->overflow || fits < length;
    return fits == length;
}

bool buf_add_string(struct buf *buf, const char *string)
{
    return buf_add(buf, string, strlen(string));
}

bool buf_add_char(struct buf *buf, char c)
{
    return buf_add(buf, &c, 1);
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    size_t room = buf->data != NULL ? buf->capacity - buf->length : 0;
    va_list args;
    int length;

    /* Most often it fits where we are; then the format is gone through once. */
    va_start(args, format);
    length = vsnprintf(room > 0 ? buf->data + buf->length : NULL, room, format, args);
    va_end(args);
    if (length < 0 || (size_t)length > buf->max - buf->length || (size_t)length >= room) {
        if (room > 0)
            buf->data[buf->length] = '\0';
        if (length < 0 || !buf_reserve(buf, (size_t)length))
            return false;
        va_start(args, format);
        vsnprintf(buf->data + buf->length, (size_t)length + 1, format, args);
        va_end(args);
    }
    buf->length += (size_t)length;
    return true;
}

bool buf_add_be32(struct buf *buf, uint32_t value)
{
    value = htobe32(value);
    return buf_add(buf, &value, sizeof value);
}

bool buf_add_be64(struct buf *buf, uint64_t value)
{
    value = htobe64(value);
    return buf_add(buf, &value, sizeof value);
}

char *buf_detach(struct buf *buf)
{
    char *data = buf->data != NULL ? buf->data : mem_strdup("");

    buf->data = NULL;
    buf_release(buf);
    return data;
}
