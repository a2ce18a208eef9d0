#include "kafka_pile.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

/* What a header takes beside its name and value, once librdkafka has read it; and before. */
#define HEADER_READ_BYTES 64
#define HEADER_WIRE_BYTES 2
/* librdkafka reads no more than 100 000 headers of a record, and doesn't say how large more are. */
#define HEADERS_UNREAD_BYTES ((size_t)1 << 20)

static void add_headers(struct kafka_pile *pile, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    rd_kafka_resp_err_t error = rd_kafka_message_headers(message, &headers);
    const void *value;
    const char *name;
    size_t length, wire = 0, i = 0;

    if (error == RD_KAFKA_RESP_ERR__NOENT)
        return;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        wire = HEADERS_UNREAD_BYTES;
    } else {
        for (; rd_kafka_header_get_all(headers, i, &name, &value, &length) == error; i++)
            wire += strlen(name) + length + HEADER_WIRE_BYTES;
    }
    pile->headers += wire + i * HEADER_READ_BYTES;
    pile->beside += wire;
}

void kafka_pile_add(struct kafka_pile *pile, rd_kafka_event_t *event, rd_kafka_message_t *message)
{
    if (pile->count == pile->capacity) {
        pile->capacity = pile->capacity > 0 ? pile->capacity * 2 : 64;
        pile->events = mem_realloc(pile->events, (size_t)pile->capacity * sizeof *pile->events);
        pile->messages =
            mem_realloc(pile->messages, (size_t)pile->capacity * sizeof *pile->messages);
    }
    pile->events[pile->count] = event;
    pile->messages[pile->count++] = message;
    pile->bytes += message->len + message->key_len;
    pile->beside += message->key_len;
    add_headers(pile, message);
}

bool kafka_pile_full(const struct kafka_pile *pile, int max, size_t max_bytes)
{
    return pile->count >= max || pile->bytes >= max_bytes ||
           pile->headers >= KAFKA_PILE_HEADERS_MAX;
}

void kafka_pile_clear(struct kafka_pile *pile)
{
    for (int i = 0; i < pile->count; i++)
        rd_kafka_event_destroy(pile->events[i]);
    pile->count = 0;
    pile->bytes = pile->headers = pile->beside = 0;
}

void kafka_pile_release(struct kafka_pile *pile)
{
    kafka_pile_clear(pile);
    free(pile->events);
    free(pile->messages);
    *pile = (struct kafka_pile){.count = 0};
}
