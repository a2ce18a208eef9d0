#include "worker/result_json.h"

#include <string.h>

#include "common/clock.h"
#include "common/json.h"

static void add_name(struct buf *out, const char *name)
{
    buf_printf(out, "%s\"%s\":", out->data[out->length - 1] == '{' ? "" : ",", name);
}

static void add_text(struct buf *out, const char *name, const char *text)
{
    add_name(out, name);
    if (text == NULL || text[0] == '\0')
        buf_add_string(out, "null");
    else
        json_escape(out, text);
}

static void add_number(struct buf *out, const char *name, int number)
{
    add_name(out, name);
    if (number == 0)
        buf_add_string(out, "null");
    else
        buf_printf(out, "%d", number);
}

static void add_moment(struct buf *out, const char *name, int64_t at)
{
    char text[CLOCK_TEXT_SIZE];

    add_text(out, name, at != 0 ? clock_format(at, text) : NULL);
}

static void add_id(struct buf *out, const unsigned char *id)
{
    add_name(out, "result_id");
    buf_add_char(out, '"');
    for (int i = 0; i < 16; i++)
        buf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
    buf_add_char(out, '"');
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
    add_name(out, "final");
    buf_add_string(out, result->final ? "true" : "false");
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
