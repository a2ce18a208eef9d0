#include "worker/callback_form.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/utf8.h"
#include "worker/limits.h"
#include "worker/tokens.h"

/* Beyond what a request may have; U+FFFD is longer than what it stands for. */
#define TEXT_MAX_BYTES ((size_t)64 << 10)
#define ERROR_CODE_MAX 999999

static bool is_message_sid(const char *text)
{
    if (strlen(text) != STATUS_SID_SIZE - 1 ||
        (strncmp(text, "MM", 2) != 0 && strncmp(text, "SM", 2) != 0))
        return false;
    return strspn(text + 2, "0123456789abcdefABCDEF") == STATUS_SID_SIZE - 3;
}

static bool is_name(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (!isprint((unsigned char)*c))
            return false;
    }
    return text[0] != '\0' && strlen(text) < STATUS_NAME_SIZE;
}

const char *callback_form_fault(const struct form *form)
{
    const char *account_sid = form_only(form, "AccountSid");
    const char *message_sid = form_only(form, "MessageSid");
    const char *name = form_only(form, "MessageStatus");

    if (account_sid == NULL || !tokens_is_account(account_sid))
        return "AccountSid is missing or wrong";
    if (message_sid == NULL || !is_message_sid(message_sid))
        return "MessageSid is missing or wrong";
    if (name == NULL || !is_name(name))
        return "MessageStatus is missing or wrong";
    return NULL;
}

/* As valid UTF-8; owned. */
static char *clean(const char *text)
{
    struct buf out;

    buf_init(&out, TEXT_MAX_BYTES);
    utf8_clean(&out, text, strlen(text));
    return buf_detach(&out);
}

/* NULL if it isn't said: absent, empty, or said twice. */
static char *text_of(const struct form *form, const char *name)
{
    return status_text(form_only(form, name));
}

static int error_code_of(const struct form *form)
{
    const char *text = form_only(form, "ErrorCode");
    size_t length = text != NULL ? strspn(text, "0123456789") : 0;
    long code = length > 0 && length <= 6 && text[length] == '\0' ? strtol(text, NULL, 10) : 0;

    return code <= ERROR_CODE_MAX ? (int)code : 0;
}

/* Appends the pair as a member, if its name isn't there yet and there is room for all of it. */
static void add_pair(struct buf *json, json_t *seen, const struct form_pair *pair)
{
    char *name = clean(pair->name);
    char *value = clean(pair->value);
    struct buf member;

    buf_init(&member, LIMIT_STATUS_PARAMS_BYTES);
    buf_add_string(&member, json->length > 1 ? "," : "");
    json_escape(&member, name);
    buf_add_char(&member, ':');
    json_escape(&member, value);
    if (!member.overflow && json->length + member.length < LIMIT_STATUS_PARAMS_BYTES &&
        json_object_get(seen, name) == NULL) {
        buf_add(json, member.data, member.length);
        json_object_set_new(seen, name, json_true());
    }
    buf_release(&member);
    free(name);
    free(value);
}

static char *parameters_of(const struct form *form)
{
    json_t *seen = json_object();
    struct buf json;

    buf_init(&json, LIMIT_STATUS_PARAMS_BYTES);
    buf_add_char(&json, '{');
    for (size_t i = 0; i < form->count; i++)
        add_pair(&json, seen, &form->pairs[i]);
    buf_add_char(&json, '}');
    json_decref(seen);
    return buf_detach(&json);
}

struct status *callback_form_status(const struct form *form, struct attempt_id *id)
{
    struct status *status = mem_zalloc(sizeof *status);

    status->destination_id = id->destination_id;
    status->delivery_id = id->delivery_id;
    status->attempt = id->attempt;
    id->destination_id = NULL;
    status->source = STATUS_CALLBACK;
    snprintf(status->account_sid, sizeof status->account_sid, "%s", form_only(form, "AccountSid"));
    snprintf(status->message_sid, sizeof status->message_sid, "%s", form_only(form, "MessageSid"));
    snprintf(status->name, sizeof status->name, "%s", form_only(form, "MessageStatus"));
    status->error_code = error_code_of(form);
    status->error_message = text_of(form, "ErrorMessage");
    status->from = text_of(form, "From");
    status->to = text_of(form, "To");
    status->messaging_service_sid = text_of(form, "MessagingServiceSid");
    status->parameters = parameters_of(form);
    return status;
}
