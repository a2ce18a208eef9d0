#include "twilio_auth.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "map.h"
#include "text.h"

struct account {
    char *sid;
    char *token;
    bool required; /* any other password is wrong */
};

struct twilio_auth {
    struct map accounts;
};

struct twilio_auth *twilio_auth_new(void)
{
    return text_alloc_zeroed(sizeof(struct twilio_auth));
}

static void free_account(const char *key, void *value, void *arg)
{
    struct account *account = value;

    (void)key;
    (void)arg;
    free(account->sid);
    free(account->token);
    free(account);
}

void twilio_auth_reset(struct twilio_auth *auth)
{
    map_each(&auth->accounts, free_account, NULL);
    map_release(&auth->accounts);
}

void twilio_auth_free(struct twilio_auth *auth)
{
    twilio_auth_reset(auth);
    free(auth);
}

static struct account *set_token(struct twilio_auth *auth, const char *account, const char *token)
{
    struct account *a = map_get(&auth->accounts, account);

    if (a == NULL) {
        a = text_alloc_zeroed(sizeof(*a));
        a->sid = text_copy(account);
        map_put(&auth->accounts, a->sid, a);
    }
    free(a->token);
    a->token = text_copy(token);
    return a;
}

void twilio_auth_set(struct twilio_auth *auth, const char *account, const char *token)
{
    set_token(auth, account, token)->required = true;
}

void twilio_auth_learn(struct twilio_auth *auth, const char *account, const char *token)
{
    const char *known = twilio_auth_token(auth, account);

    if (known == NULL || strcmp(known, token) != 0)
        set_token(auth, account, token);
}

const char *twilio_auth_token(const struct twilio_auth *auth, const char *account)
{
    const struct account *a = map_get(&auth->accounts, account);

    return a == NULL ? NULL : a->token;
}

bool twilio_auth_is_sid(const char *s, const char *prefix)
{
    size_t len = strlen(prefix);

    if (strncmp(s, prefix, len) != 0 || strlen(s) != len + 32)
        return false;
    for (s += len; *s != '\0'; s++) {
        if (!isalnum((unsigned char)*s))
            return false;
    }
    return true;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes up to the padding; NULL if there is anything that does not belong there. */
static char *base64_decode(const char *s)
{
    char *out = text_alloc_zeroed(strlen(s) + 1);
    size_t len = 0;
    unsigned bits = 0;
    int have = 0;

    for (; *s != '\0' && *s != '='; s++) {
        int value = base64_value(*s);

        if (value < 0) {
            free(out);
            return NULL;
        }
        bits = (bits << 6 | (unsigned)value) & 0xFFFFFFu;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[len++] = (char)(bits >> have & 0xFFu);
        }
    }
    return out;
}

void twilio_credentials_parse(struct twilio_credentials *ret_credentials, const char *header)
{
    struct twilio_credentials c = {0};
    char *colon;

    if (header != NULL && strncasecmp(header, "Basic ", 6) == 0)
        c.user = base64_decode(header + 6 + strspn(header + 6, " "));
    colon = c.user == NULL ? NULL : strchr(c.user, ':');
    if (colon != NULL) {
        c.password = text_copy(colon + 1);
        explicit_bzero(colon, strlen(colon)); /* the user is logged; leave nothing behind it */
    } else if (c.user != NULL) {
        free(c.user); /* without a colon it is not known what this is: it may be a secret */
        c.user = NULL;
    }
    *ret_credentials = c;
}

void twilio_credentials_release(struct twilio_credentials *c)
{
    if (c->password != NULL)
        explicit_bzero(c->password, strlen(c->password));
    free(c->user);
    free(c->password);
    *c = (struct twilio_credentials){0};
}

bool twilio_auth_check(const struct twilio_auth *auth, const char *account,
                       const struct twilio_credentials *c, struct twilio_error *ret_error)
{
    const struct account *known = map_get(&auth->accounts, account);

    if (c->user == NULL) {
        render_set_error(ret_error, 401, 20003, "Authenticate");
        ret_error->detail = "Your AccountSid or AuthToken was incorrect.";
        return false;
    }
    if (strcmp(c->user, account) != 0 && !twilio_auth_is_sid(c->user, "SK"))
        return render_set_error(ret_error, 401, 20003, "Authentication Error - invalid username");
    if (*c->password == '\0' ||
        (known != NULL && known->required && strcmp(known->token, c->password) != 0)) {
        render_set_error(ret_error, 401, 20003, "Authenticate");
        ret_error->detail = "Your AccountSid or AuthToken was incorrect.";
        return false;
    }
    return true;
}
