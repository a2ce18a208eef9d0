#include "check.h"

#include "common/kafka_pile.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* Stand-ins: a message's headers are its _private; an event is any address. */
static rd_kafka_headers_t *unread;
static int destroyed;

rd_kafka_resp_err_t rd_kafka_message_headers(const rd_kafka_message_t *message,
                                             rd_kafka_headers_t **ret_headers)
{
    if (message->_private == NULL)
        return RD_KAFKA_RESP_ERR__NOENT;
    if (message->_private == unread)
        return RD_KAFKA_RESP_ERR__BAD_MSG;
    *ret_headers = message->_private;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void rd_kafka_event_destroy(rd_kafka_event_t *event)
{
    assert_non_null(event);
    destroyed++;
}

struct fixture {
    struct kafka_pile pile;
    rd_kafka_headers_t *headers; /* to be filled by the test */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->headers = rd_kafka_headers_new(1);
    unread = rd_kafka_headers_new(1);
    destroyed = 0;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    kafka_pile_release(&f->pile);
    rd_kafka_headers_destroy(f->headers);
    rd_kafka_headers_destroy(unread);
    free(f);
    return 0;
}

static void add(struct fixture *f, rd_kafka_message_t *message)
{
    kafka_pile_add(&f->pile, (rd_kafka_event_t *)message, message);
}

static void add_header(struct fixture *f, const char *name, size_t length)
{
    char *value = check_repeat("v", length);

    assert_int_equal(rd_kafka_header_add(f->headers, name, -1, value, (ssize_t)length), 0);
    free(value);
}

static void values_and_keys_are_counted(void **state)
{
    struct fixture *f = *state;
    rd_kafka_message_t message = {.len = 1000, .key_len = 30};

    add(f, &message);
    add(f, &message);
    assert_int_equal(f->pile.count, 2);
    assert_int_equal(f->pile.bytes, 2060);
    assert_int_equal(f->pile.headers, 0);
    /* librdkafka counts values, and no keys. */
    assert_int_equal(f->pile.beside, 60);
}

static void headers_are_counted(void **state)
{
    struct fixture *f = *state;
    rd_kafka_message_t message = {.len = 1000, .key_len = 30, ._private = f->headers};

    add_header(f, "trace", 55);
    add_header(f, "n", 0);
    add(f, &message);
    assert_int_equal(f->pile.bytes, 1030);
    /* Names, values and two bytes of each as they came … */
    assert_int_equal(f->pile.beside, 30 + 5 + 55 + 2 + 1 + 2);
    /* … and what each takes in memory beside them. */
    assert_int_equal(f->pile.headers, 5 + 55 + 2 + 1 + 2 + 2 * 64);
}

static void headers_that_nobody_can_read_count_as_a_mib(void **state)
{
    struct fixture *f = *state;
    rd_kafka_message_t message = {.len = 2, ._private = unread};

    add(f, &message);
    assert_int_equal(f->pile.beside, MIB);
    assert_int_equal(f->pile.headers, MIB);
}

/* How many of these it takes until the pile is full. */
static int until_full(struct kafka_pile *pile, rd_kafka_message_t *message, int max, size_t bytes)
{
    while (!kafka_pile_full(pile, max, bytes)) {
        assert_true(pile->count < 100000);
        kafka_pile_add(pile, (rd_kafka_event_t *)message, message);
    }
    return pile->count;
}

static void full_is_what_has_reached_a_limit(void **state)
{
    struct fixture *f = *state;
    rd_kafka_message_t small = {.len = 100, .key_len = 24};
    rd_kafka_message_t nothing = {.len = 0};
    rd_kafka_message_t heavy = {.len = 2, ._private = f->headers};
    rd_kafka_message_t unreadable = {.len = 2, ._private = unread};
    struct {
        const char *name;
        rd_kafka_message_t *message;
        int max;
        size_t bytes;
        int expected;
    } cases[] = {
        {"records", &small, 500, 8 * MIB, 500},
        {"records without a byte", &nothing, 500, 8 * MIB, 500},
        {"bytes, to the byte", &small, 500, 124 * 10, 10},
        {"bytes, but one", &small, 500, 124 * 10 + 1, 11},
        {"the first that is too large", &small, 500, 1, 1},
        {"headers", &heavy, 500, 8 * MIB, (int)(KAFKA_PILE_HEADERS_MAX / (32 * KIB))},
        {"headers that nobody can read", &unreadable, 500, 8 * MIB, 4},
    };

    add_header(f, "n", 32 * KIB - 1 - 2 - 64);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int count = until_full(&f->pile, cases[i].message, cases[i].max, cases[i].bytes);

        check_int(cases[i].name, count, cases[i].expected);
        kafka_pile_clear(&f->pile);
        check_false(cases[i].name, kafka_pile_full(&f->pile, cases[i].max, cases[i].bytes));
    }
}

static void records_keep_their_order_and_are_given_back(void **state)
{
    static rd_kafka_message_t messages[1000];
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(messages); i++) {
        messages[i] = (rd_kafka_message_t){.len = 1, .key_len = 1, ._private = unread};
        add(f, &messages[i]);
    }
    for (size_t i = 0; i < COUNT(messages); i++)
        assert_ptr_equal(f->pile.messages[i], &messages[i]);
    kafka_pile_clear(&f->pile);
    assert_int_equal(destroyed, COUNT(messages));
    assert_int_equal(f->pile.count, 0);
    assert_int_equal(f->pile.bytes, 0);
    assert_int_equal(f->pile.headers, 0);
    assert_int_equal(f->pile.beside, 0);
    add(f, &messages[0]);
    kafka_pile_release(&f->pile);
    assert_int_equal(destroyed, COUNT(messages) + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_and_keys_are_counted),
        TEST(headers_are_counted),
        TEST(headers_that_nobody_can_read_count_as_a_mib),
        TEST(full_is_what_has_reached_a_limit),
        TEST(records_keep_their_order_and_are_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
