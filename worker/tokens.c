#include "worker/tokens.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* An account to a bucket when all are there. */
#define BUCKETS  TOKENS_ACCOUNTS_MAX
#define SID_SIZE 35

struct reference {
    char *text;
    unsigned look; /* in which it was seen last */
};

struct token {
    char *text;
    int64_t at;
    unsigned look; /* in which it was seen last */
    struct reference references[TOKENS_REFERENCES];
    int reference_count;
};

struct account {
    struct account *next;
    char sid[SID_SIZE];
    struct token tokens[TOKENS_OF_ACCOUNT];
    int count;
};

struct tokens {
    struct account **buckets;
    size_t accounts;
    unsigned look;
};

bool tokens_is_account(const char *text)
{
    if (strlen(text) != SID_SIZE - 1 || strncmp(text, "AC", 2) != 0)
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c))
            return false;
    }
    return true;
}

/* FNV-1a. SIDs are made by Twilio, and what is put in comes from our own table. */
static size_t bucket_of(const char *sid)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *sid != '\0'; sid++)
        hash = (hash ^ (unsigned char)*sid) * UINT64_C(0x100000001b3);
    return (hash ^ hash >> 32) % BUCKETS;
}

static struct account *find(const struct tokens *tokens, const char *sid)
{
    struct account *account = tokens->buckets[bucket_of(sid)];

    while (account != NULL && strcmp(account->sid, sid) != 0)
        account = account->next;
    return account;
}

/* Those behind it move up. */
static void drop_reference(struct token *token, int place)
{
    struct reference *references = token->references;

    free(references[place].text);
    token->reference_count--;
    memmove(&references[place], &references[place + 1],
            (size_t)(token->reference_count - place) * sizeof *references);
}

static void drop(struct token *token)
{
    while (token->reference_count > 0)
        drop_reference(token, 0);
    mem_wipe(token->text, strlen(token->text));
    free(token->text);
}

/* The place of a reference; -1 if the token has none of that text. */
static int reference_place(const struct token *token, const char *text)
{
    for (int i = 0; i < token->reference_count; i++) {
        if (strcmp(token->references[i].text, text) == 0)
            return i;
    }
    return -1;
}

/* What a file held before is not what it holds. The oldest makes room. */
static void refer(struct account *account, struct token *token, const char *text, unsigned look)
{
    int place;

    for (int i = 0; i < account->count; i++) {
        place = reference_place(&account->tokens[i], text);
        if (place >= 0 && &account->tokens[i] != token)
            drop_reference(&account->tokens[i], place);
    }
    place = reference_place(token, text);
    if (place < 0) {
        if (token->reference_count == TOKENS_REFERENCES)
            drop_reference(token, 0);
        place = token->reference_count++;
        token->references[place].text = mem_strdup(text);
    }
    token->references[place].look = look;
}

/* Where a new token goes; the oldest makes room. NULL if all are newer. */
static struct token *room(struct account *account, int64_t at)
{
    struct token *oldest = &account->tokens[0];

    if (account->count < TOKENS_OF_ACCOUNT)
        return &account->tokens[account->count++];
    for (int i = 1; i < account->count; i++) {
        if (account->tokens[i].at < oldest->at)
            oldest = &account->tokens[i];
    }
    if (oldest->at > at)
        return NULL;
    drop(oldest);
    return oldest;
}

static struct token *find_token(struct account *account, const char *text)
{
    for (int i = 0; i < account->count; i++) {
        if (strcmp(account->tokens[i].text, text) == 0)
            return &account->tokens[i];
    }
    return NULL;
}

/* NULL if those that there are, are newer. */
static struct token *add(struct account *account, const char *text, int64_t at, unsigned look)
{
    struct token *token = find_token(account, text);

    if (token != NULL) {
        token->at = at > token->at ? at : token->at;
        token->look = look;
        return token;
    }
    token = room(account, at);
    if (token != NULL)
        *token = (struct token){.text = mem_strdup(text), .at = at, .look = look};
    return token;
}

bool tokens_add(struct tokens *tokens, const char *account_sid, const char *token,
                const char *reference, int64_t at)
{
    struct token *added;
    struct account *account;
    size_t bucket;

    if (!tokens_is_account(account_sid) || token[0] == '\0' || strlen(token) > TOKENS_LENGTH_MAX)
        return true;
    account = find(tokens, account_sid);
    if (account == NULL) {
        if (tokens->accounts == TOKENS_ACCOUNTS_MAX)
            return false;
        bucket = bucket_of(account_sid);
        account = mem_zalloc(sizeof *account);
        memcpy(account->sid, account_sid, sizeof account->sid);
        account->next = tokens->buckets[bucket];
        tokens->buckets[bucket] = account;
        tokens->accounts++;
    }
    added = add(account, token, at, tokens->look);
    if (added != NULL && reference != NULL)
        refer(account, added, reference, tokens->look);
    return true;
}

int tokens_find(const struct tokens *tokens, const char *account_sid,
                const char *ret_tokens[TOKENS_OF_ACCOUNT])
{
    const struct account *account = find(tokens, account_sid);
    int count = account != NULL ? account->count : 0;

    for (int i = 0; i < count; i++)
        ret_tokens[i] = account->tokens[i].text;
    return count;
}

int tokens_references(const struct tokens *tokens, const char *account_sid, const char *token,
                      const char *ret_references[TOKENS_REFERENCES])
{
    struct account *account = find(tokens, account_sid);
    const struct token *found = account != NULL ? find_token(account, token) : NULL;
    int count = found != NULL ? found->reference_count : 0;

    for (int i = 0; i < count; i++)
        ret_references[i] = found->references[i].text;
    return count;
}

void tokens_begin(struct tokens *tokens)
{
    tokens->look++;
}

static void drop_old_references(struct token *token, unsigned look)
{
    for (int i = token->reference_count - 1; i >= 0; i--) {
        if (token->references[i].look != look)
            drop_reference(token, i);
    }
}

/* Drops what was seen before the present look only. */
static void drop_old(struct account *account, unsigned look)
{
    int kept = 0;

    for (int i = 0; i < account->count; i++) {
        if (account->tokens[i].look != look) {
            drop(&account->tokens[i]);
            continue;
        }
        drop_old_references(&account->tokens[i], look);
        account->tokens[kept++] = account->tokens[i];
    }
    account->count = kept;
}

static void drop_from_bucket(struct tokens *tokens, struct account **link)
{
    while (*link != NULL) {
        struct account *account = *link;

        drop_old(account, tokens->look);
        if (account->count > 0) {
            link = &account->next;
            continue;
        }
        *link = account->next;
        free(account);
        tokens->accounts--;
    }
}

void tokens_end(struct tokens *tokens)
{
    for (size_t i = 0; i < BUCKETS; i++)
        drop_from_bucket(tokens, &tokens->buckets[i]);
}

size_t tokens_accounts(const struct tokens *tokens)
{
    return tokens->accounts;
}

struct tokens *tokens_new(void)
{
    struct tokens *tokens = mem_zalloc(sizeof *tokens);

    tokens->buckets = mem_zalloc(BUCKETS * sizeof *tokens->buckets);
    return tokens;
}

void tokens_free(struct tokens *tokens)
{
    if (tokens == NULL)
        return;
    tokens_begin(tokens); /* nothing has been seen in a look that only begins */
    tokens_end(tokens);
    free(tokens->buckets);
    free(tokens);
}
