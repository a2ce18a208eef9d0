/* Parameters of status callbacks, and their signature. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "tests/fuzz/fuzz.h"
#include "worker/callback_form.h"
#include "worker/signature.h"

#define MAX 100

static void check_forms(const struct form *form)
{
    struct form again;
    struct buf text;

    buf_init(&text, SIZE_MAX / 2);
    buf_add_string(&text, "&");
    for (size_t i = 0; i < form->count; i++) {
        buf_add_string(&text, i > 0 ? "&&" : "");
        for (const char *c = form->pairs[i].name; *c != '\0'; c++)
            buf_printf(&text, "%%%02X", (unsigned char)*c);
        buf_add_char(&text, '=');
        for (const char *c = form->pairs[i].value; *c != '\0'; c++)
            buf_printf(&text, *c == ' ' ? "+" : "%%%02x", (unsigned char)*c);
    }
    must(form_parse(text.data, text.length, MAX, &again) && again.count == form->count);
    for (size_t i = 0; i < form->count; i++)
        must(strcmp(form->pairs[i].name, again.pairs[i].name) == 0 &&
             strcmp(form->pairs[i].value, again.pairs[i].value) == 0);
    form_release(&again);
    buf_release(&text);
}

static void check_text(const char *text)
{
    must(text == NULL || (text[0] != '\0' && fuzz_is_utf8(text, strlen(text))));
}

static void check_status(const struct form *form)
{
    struct attempt_id id = {.destination_id = mem_strdup("d"), .delivery_id = 3, .attempt = 2};
    struct status *s = callback_form_status(form, &id);
    json_t *parameters = json_loads(s->parameters, JSON_REJECT_DUPLICATES, NULL);

    must(strcmp(s->destination_id, "d") == 0 && s->delivery_id == 3 && s->attempt == 2);
    must(fuzz_matches("^AC[0-9A-Za-z]{32}$", s->account_sid));
    must(fuzz_matches("^(MM|SM)[0-9a-fA-F]{32}$", s->message_sid));
    must(fuzz_is_line(s->name, sizeof s->name));
    must(s->error_code >= 0 && s->error_code <= 999999);
    check_text(s->error_message);
    check_text(s->from);
    check_text(s->to);
    check_text(s->messaging_service_sid);
    must(json_is_object(parameters) && strlen(s->parameters) <= 8192);
    must(json_object_size(parameters) <= form->count);
    json_decref(parameters);
    status_free(s);
    attempt_id_release(&id);
}

/* What is signed does not depend on the order of parameters, nor on how often one is said. */
static void check_order(const struct form *form, const char *url,
                        const struct signature_texts *texts)
{
    struct form other = {.pairs = mem_zalloc((2 * form->count + 1) * sizeof(struct form_pair))};
    struct signature_texts same;

    for (size_t i = 0; i < form->count; i++)
        other.pairs[other.count++] = form->pairs[form->count - 1 - i];
    for (size_t i = 0; i < form->count; i++)
        other.pairs[other.count++] = form->pairs[i];
    signature_texts_init(&same, url, &other);
    for (int i = 0; i < 2; i++)
        must(strcmp(same.texts[i], texts->texts[i]) == 0);
    signature_texts_release(&same);
    free(other.pairs);
}

static void check_signature(const struct form *form, const char *url, const char *token)
{
    struct signature_texts texts;
    char signature[FUZZ_SIGNATURE_SIZE], wrong[FUZZ_SIGNATURE_SIZE];

    signature_texts_init(&texts, url, form);
    for (int i = 0; i < 2; i++) {
        must(texts.lengths[i] == strlen(texts.texts[i]));
        fuzz_sign(token, texts.texts[i], texts.lengths[i], signature);
        must(signature_matches(&texts, token, signature));
        memcpy(wrong, signature, sizeof wrong);
        wrong[strlen(token) % 27] = wrong[strlen(token) % 27] == 'A' ? 'B' : 'A';
        must(!signature_matches(&texts, token, wrong));
        wrong[27] = '\0';
        must(!signature_matches(&texts, token, wrong));
    }
    must(!signature_matches(&texts, token, NULL) && !signature_matches(&texts, token, ""));
    check_order(form, url, &texts);
    signature_texts_release(&texts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    struct form form;
    char *body;

    fuzz_split(data, size, &input);
    body = fuzz_exact(input.pieces[0], input.lengths[0]);
    if (form_parse(body, input.lengths[0], MAX, &form)) {
        must(form.count <= MAX && memchr(body, '\0', input.lengths[0]) == NULL);
        check_forms(&form);
        if (callback_form_fault(&form) == NULL)
            check_status(&form);
        check_signature(&form, fuzz_text(&input, 1), fuzz_text(&input, 2));
    }
    form_release(&form);
    free(body);
    fuzz_release(&input);
    return 0;
}
