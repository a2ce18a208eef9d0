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
    assert_true(tokens_add(tokens, ACCOUNT, "one", NULL, 1));
    assert_true(tokens_add(tokens, ACCOUNT, "one", NULL, 2));
    assert_true(tokens_add(tokens, ACCOUNT, "two", NULL, 1));
    assert_true(tokens_add(tokens, OTHER, "three", NULL, 1));
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
        tokens_add(tokens, accounts[i], "token", NULL, 1);
    }
    tokens_add(tokens, ACCOUNT, "", NULL, 1);
    tokens_add(tokens, ACCOUNT, longer, NULL, 1);
    assert_int_equal(tokens_accounts(tokens), 0);
    tokens_add(tokens, ACCOUNT, longest, NULL, 1);
    check_tokens(tokens, ACCOUNT, longest);
    tokens_free(tokens);
    free(longest);
    free(longer);
}

static void keeps_the_newest(void **state)
{
    struct tokens *tokens = tokens_new();

    (void)state;
    tokens_add(tokens, ACCOUNT, "c", NULL, 30);
    tokens_add(tokens, ACCOUNT, "a", NULL, 10);
    tokens_add(tokens, ACCOUNT, "d", NULL, 40);
    tokens_add(tokens, ACCOUNT, "b", NULL, 20);
    tokens_add(tokens, ACCOUNT, "too old", NULL, 5);
    check_tokens(tokens, ACCOUNT, "a b c d");
    tokens_add(tokens, ACCOUNT, "a", NULL, 50); /* seen again: new */
    tokens_add(tokens, ACCOUNT, "e", NULL, 60);
    check_tokens(tokens, ACCOUNT, "a c d e");
    tokens_free(tokens);
}

static void a_look_at_everything_drops_the_rest(void **state)
{
    struct tokens *tokens = tokens_new();

    (void)state;
    tokens_add(tokens, ACCOUNT, "old", NULL, 1);
    tokens_add(tokens, ACCOUNT, "kept", NULL, 1);
    tokens_add(tokens, OTHER, "gone", NULL, 1);
    tokens_begin(tokens);
    check_tokens(tokens, OTHER, "gone"); /* until it has come to its end */
    tokens_add(tokens, ACCOUNT, "kept", NULL, 1);
    tokens_begin(tokens); /* the first did not */
    tokens_add(tokens, ACCOUNT, "kept", NULL, 1);
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
        check_true(sid, tokens_add(tokens, sid, sid, NULL, i));
    }
    assert_false(tokens_add(tokens, OTHER, "one", NULL, 1));
    check_tokens(tokens, OTHER, "");
    assert_true(tokens_add(tokens, sid, "two", NULL, 1)); /* a known one has room */
    for (int i = 0; i < TOKENS_ACCOUNTS_MAX - 1; i++) {
        snprintf(sid, sizeof sid, "AC%032d", i);
        check_tokens(tokens, sid, sid);
    }
    tokens_begin(tokens);
    tokens_end(tokens);
    assert_int_equal(tokens_accounts(tokens), 0);
    assert_true(tokens_add(tokens, OTHER, "one", NULL, 1));
    tokens_free(tokens);
}

static void check_references(const struct tokens *tokens, const char *token, const char *expected)
{
    const char *found[TOKENS_REFERENCES];
    int count = tokens_references(tokens, ACCOUNT, token, found);
    char text[200] = "";

    for (int i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i > 0 ? " " : "",
                 found[i]);
    check_string(token, text, expected);
}

static void remembers_where_it_was(void **state)
{
    struct tokens *tokens = tokens_new();

    (void)state;
    tokens_add(tokens, ACCOUNT, "one", NULL, 1);
    check_references(tokens, "one", "");
    check_references(tokens, "none", "");
    tokens_add(tokens, ACCOUNT, "one", "env:A", 1);
    tokens_add(tokens, ACCOUNT, "one", "file:/b", 2);
    tokens_add(tokens, ACCOUNT, "one", "env:A", 3);
    tokens_add(tokens, OTHER, "two", "file:/b", 3);
    check_references(tokens, "one", "env:A file:/b");
    tokens_add(tokens, ACCOUNT, "two", "env:A", 4); /* it leads to another now */
    check_references(tokens, "one", "file:/b");
    check_references(tokens, "two", "env:A");
    tokens_add(tokens, ACCOUNT, "one", "c", 5);
    tokens_add(tokens, ACCOUNT, "one", "d", 5);
    tokens_add(tokens, ACCOUNT, "one", "e", 5);
    check_references(tokens, "one", "file:/b c d e");
    tokens_add(tokens, ACCOUNT, "one", "f", 5);
    check_references(tokens, "one", "c d e f");
    tokens_begin(tokens);
    tokens_add(tokens, ACCOUNT, "one", NULL, 6);
    tokens_add(tokens, ACCOUNT, "one", "e", 6);
    tokens_end(tokens);
    check_references(tokens, "one", "e");
    check_tokens(tokens, ACCOUNT, "one");
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
        cmocka_unit_test(remembers_where_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
