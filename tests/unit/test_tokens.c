#include "check.h"

#include "worker/tokens.h"

#define ACCOUNT "AC0123456789abcdef0123456789abcdef"
#define OTHER   "ACffffffffffffffffffffffffffffffff"

/* Whether `tokens` are exactly `expected` ("a b"), in any order. */
static void check_tokens(const struct tokens *tokens, const char *account, const char *expected)
{
    const char *found[TOKENS_OF_ACCOUNT];
    int count = tokens_find(tokens, account, found);
    size_t length = 0;

    for (int i = 0; i < count; i++) {
        check_contains(account, expected, found[i]);
        length += strlen(found[i]) + 1;
    }
    check_int(expected, (int64_t)length, expected[0] != '\0' ? (int64_t)strlen(expected) + 1 : 0);
}

static void finds_what_was_added(void **state)
{
    struct tokens *tokens = tokens_new();

    (void)state;
    check_tokens(tokens, ACCOUNT, "");
    assert_true(tokens_add(tokens, ACCOUNT, "one", 1));
    assert_true(tokens_add(tokens, ACCOUNT, "one", 2));
    assert_true(tokens_add(tokens, ACCOUNT, "two", 1));
    assert_true(tokens_add(tokens, OTHER, "three", 1));
    check_tokens(tokens, ACCOUNT, "one two");
    check_tokens(tokens, OTHER, "three");
    check_tokens(tokens, "AC0123456789abcdef0123456789abcdeF", "");
    check_tokens(tokens, "", "");
    assert_int_equal(tokens_accounts(tokens), 2);
    tokens_free(tokens);
}

static void ignores_what_is_none(void **state)
{
    static const char *const accounts[] = {"",
                                           "AC",
                                           "AC0123456789abcdef0123456789abcde",
                                           ACCOUNT "0",
                                           "SK0123456789abcdef0123456789abcdef",
                                           "AC0123456789abcdef0123456789abcde-"};
    char *longest = check_repeat("x", TOKENS_LENGTH_MAX);
    char *longer = check_repeat("x", TOKENS_LENGTH_MAX + 1);
    struct tokens *tokens = tokens_new();

    (void)state;
    for (size_t i = 0; i < COUNT(accounts); i++) {
        check_false(accounts[i], tokens_is_account(accounts[i]));
        tokens_add(tokens, accounts[i], "token", 1);
    }
    tokens_add(tokens, ACCOUNT, "", 1);
    tokens_add(tokens, ACCOUNT, longer, 1);
    assert_int_equal(tokens_accounts(tokens), 0);
    tokens_add(tokens, ACCOUNT, longest, 1);
    check_tokens(tokens, ACCOUNT, longest);
    tokens_free(tokens);
    free(longest);
    free(longer);
}

static void keeps_the_newest(void **state)
{
    struct tokens *tokens = tokens_new();

    (void)state;
    tokens_add(tokens, ACCOUNT, "c", 30);
    tokens_add(tokens, ACCOUNT, "a", 10);
    tokens_add(tokens, ACCOUNT, "d", 40);
    tokens_add(tokens, ACCOUNT, "b", 20);
    tokens_add(tokens, ACCOUNT, "too old", 5);
    check_tokens(tokens, ACCOUNT, "a b c d");
    tokens_add(tokens, ACCOUNT, "a", 50); /* seen again: new */
    tokens_add(tokens, ACCOUNT, "e", 60);
    check_tokens(tokens, ACCOUNT, "a c d e");
    tokens_free(tokens);
}

static void a_look_at_everything_drops_the_rest(void **state)
{
    struct tokens *tokens = tokens_new();

    (void)state;
    tokens_add(tokens, ACCOUNT, "old", 1);
    tokens_add(tokens, ACCOUNT, "kept", 1);
    tokens_add(tokens, OTHER, "gone", 1);
    tokens_begin(tokens);
    check_tokens(tokens, OTHER, "gone"); /* until it has come to its end */
    tokens_add(tokens, ACCOUNT, "kept", 1);
    tokens_begin(tokens); /* the first did not */
    tokens_add(tokens, ACCOUNT, "kept", 1);
    tokens_end(tokens);
    check_tokens(tokens, ACCOUNT, "kept");
    check_tokens(tokens, OTHER, "");
    assert_int_equal(tokens_accounts(tokens), 1);
    tokens_free(tokens);
}

static void is_bounded(void **state)
{
    struct tokens *tokens = tokens_new();
    char sid[64];

    (void)state;
    for (int i = 0; i < TOKENS_ACCOUNTS_MAX; i++) {
        snprintf(sid, sizeof sid, "AC%032d", i);
        check_true(sid, tokens_add(tokens, sid, sid, i));
    }
    assert_false(tokens_add(tokens, OTHER, "one", 1));
    check_tokens(tokens, OTHER, "");
    assert_true(tokens_add(tokens, sid, "two", 1)); /* a known one has room */
    for (int i = 0; i < TOKENS_ACCOUNTS_MAX - 1; i++) {
        snprintf(sid, sizeof sid, "AC%032d", i);
        check_tokens(tokens, sid, sid);
    }
    tokens_begin(tokens);
    tokens_end(tokens);
    assert_int_equal(tokens_accounts(tokens), 0);
    assert_true(tokens_add(tokens, OTHER, "one", 1));
    tokens_free(tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added),
        cmocka_unit_test(ignores_what_is_none),
        cmocka_unit_test(keeps_the_newest),
        cmocka_unit_test(a_look_at_everything_drops_the_rest),
        cmocka_unit_test(is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
