#include "worker/result_json.h"

#include "common/clock.h"
#include "common/json.h"

static void add_text(struct buf *out, const char *name, const char *text)
{
    json_add_text(out, name, text != NULL && text[0] != '\0' ? text : NULL);
}

static void add_number(struct buf *out, const char *name, int number)
{
    if (number == 0)
        json_add_text(out, name, NULL);
    else
        json_add_integer(out, name, number);
}

static void add_moment(struct buf *out, const char *name, int64_t at)
{
    char text[CLOCK_TEXT_SIZE];

    add_text(out, name, at != 0 ? clock_format(at, text) : NULL);
}

static void add_id(struct buf *out, const unsigned char *id)
{
    static const char digits[] = "0123456789abcdef";
    char text[37];
    char *t = text;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *t++ = '-';
        *t++ = digits[id[i] >> 4];
        *t++ = digits[id[i] & 15];
    }
    *t = '\0';
    add_text(out, "result_id", text);
}

void result_json_write(const struct result *result, struct buf *out)
{
    buf_add_string(out, "{");
    add_text(out, "schema", "mms.result/1");
    add_id(out, result->result_id);
    add_text(out, "kind", result->kind);
    add_text(out, "event_id", result->event_id);
    add_text(out, "destination_id", result->destination_id);
    add_text(out, "connection_id", result->connection_id);
    add_number(out, "attempt", result->attempt);
    add_text(out, "outcome", result->outcome);
    json_add_bool(out, "final", result->final);
    add_text(out, "reason", result->reason);
    add_number(out, "http_status", result->http_status);
    add_text(out, "message_sid", result->message_sid);
    add_text(out, "message_status", result->message_status);
    add_number(out, "error_code", result->error_code);
    add_text(out, "error_message", result->error_message);
    add_moment(out, "next_attempt_at", result->next_attempt_at);
    add_text(out, "worker", result->worker);
    add_moment(out, "at", result->at);
    buf_add_string(out, "}");
}
