/* Configs that are shown: without secrets, and what comes back masked is what was there. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/fuzz/fuzz.h"
#include "worker/commands/mask.h"

#define CANARY "cAnArY00000000000000000000000000"

/* Whatever is in `auth` but a name, as a secret of ours; and one beside it. */
static void plant(json_t *config)
{
    static const char *const secrets[] = {"auth_token", "api_key_secret", "token"};
    json_t *auth = json_object_get(config, "auth");

    if (!json_is_object(auth))
        return;
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        json_object_set_new(auth, secrets[i], json_string(CANARY));
    json_object_set_new(config, "authtoken", json_string(CANARY));
    json_object_set_new(config, "status_callback",
                        json_string("https://user:" CANARY "@example.com/"));
}

static void check_idempotent(json_t *masked)
{
    json_t *again = mask_config(masked);

    must(json_equal(again, masked));
    json_decref(again);
}

static bool has_hidden_name(const json_t *masked)
{
    return json_object_get(masked, MASK) != NULL ||
           json_object_get(json_object_get(masked, "auth"), MASK) != NULL;
}

static void check_back(json_t *masked, json_t *config)
{
    char why[256] = "";
    json_t *back = unmask_config(masked, config, why, sizeof why);

    /* A name that isn't shown can't come back. */
    if (has_hidden_name(masked))
        must(back != NULL || fuzz_is_line(why, sizeof why));
    else
        must(back != NULL && json_equal(back, config));
    json_decref(back);
    /* Into another row nothing comes by itself. */
    back = unmask_config(masked, NULL, why, sizeof why);
    must(back != NULL ? json_equal(back, masked) : fuzz_is_line(why, sizeof why));
    json_decref(back);
}

static void check_config(json_t *config)
{
    json_t *before = json_deep_copy(config);
    json_t *masked = mask_config(config);
    char *text = fuzz_json_text(masked);

    must(json_equal(before, config));
    must(strstr(text, "cAnArY") == NULL);
    must(!mask_has_secret(masked));
    check_idempotent(masked);
    check_back(masked, config);
    free(text);
    json_decref(masked);
    json_decref(before);
}

static void check_other(json_t *config, json_t *old)
{
    char why[256] = "";
    json_t *back = unmask_config(config, old, why, sizeof why);

    must(back != NULL || fuzz_is_line(why, sizeof why));
    json_decref(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    json_t *config, *other;

    if (memmem(data, size, "cAnArY", 6) != NULL)
        return -1;
    fuzz_split(data, size, &input);
    config = fuzz_json(&input, 0);
    other = fuzz_json(&input, 1);
    if (config != NULL) {
        check_config(config);
        plant(config);
        check_config(config);
        if (other != NULL)
            check_other(other, config);
    }
    json_decref(config);
    json_decref(other);
    fuzz_release(&input);
    return 0;
}
