#ifndef WORKER_RESULT_JSON_H
#define WORKER_RESULT_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

/* A result as the status topic has it (schemas/result.schema.json). NULL and 0 become null. */
struct result {
    const unsigned char *result_id; /* 16 bytes */
    const char *kind;               /* "attempt", "rejection" */
    const char *event_id;
    const char *destination_id;
    const char *connection_id;
    int attempt;
    const char *outcome;
    bool final;
    const char *reason;
    int http_status;
    const char *message_sid;
    const char *message_status;
    int error_code;
    const char *error_message;
    int64_t next_attempt_at; /* microseconds since 1970 */
    const char *worker;
    int64_t at; /* microseconds since 1970 */
};

/* Appends the result as one line of JSON. */
void result_json_write(const struct result *result, struct buf *out);

#endif
