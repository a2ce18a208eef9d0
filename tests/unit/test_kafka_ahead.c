#include "check.h"

#include "common/kafka_ahead.h"

/* A record whose headers are many: so many of them are too much ahead. */
#define HEAVY    ((size_t)1 << 20)
#define TOO_MANY (KAFKA_AHEAD_MAX_BYTES / HEAVY + 1)

/* Stand-ins for librdkafka, which has one partition: what it was told, and what lies ahead. */
static enum { FETCHING, PAUSED } partition;
static int told;
static size_t queued;
static bool assigned;

rd_kafka_resp_err_t rd_kafka_assignment(rd_kafka_t *rk, rd_kafka_topic_partition_list_t **ret_list)
{
    (void)rk;
    if (!assigned)
        return RD_KAFKA_RESP_ERR__DESTROY;
    *ret_list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(*ret_list, "t", 0);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_pause_partitions(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list)
{
    (void)rk;
    assert_int_equal(list->cnt, 1);
    partition = PAUSED;
    queued = 0; /* is thrown away */
    told++;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_resume_partitions(rd_kafka_t *rk,
                                               rd_kafka_topic_partition_list_t *list)
{
    (void)rk;
    assert_int_equal(list->cnt, 1);
    partition = FETCHING;
    told++;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

size_t rd_kafka_queue_length(rd_kafka_queue_t *queue)
{
    (void)queue;
    return queued;
}

struct fixture {
    struct event_base *base;
    struct kafka_ahead *ahead;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->base = event_base_new();
    f->ahead = kafka_ahead_new(f->base, NULL, NULL);
    partition = FETCHING;
    told = 0;
    queued = 0;
    assigned = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    kafka_ahead_free(f->ahead);
    event_base_free(f->base);
    free(f);
    return 0;
}

/* A heavy batch in hand, and too much ahead of it. */
static void heavy_batch(struct fixture *f)
{
    queued = TOO_MANY;
    kafka_ahead_batch(f->ahead, HEAVY);
}

static void nothing_is_fetched_while_held_back(void **state)
{
    struct fixture *f = *state;

    assert_false(kafka_ahead_is_held(f->ahead));
    assert_false(kafka_ahead_hold(f->ahead, false));
    assert_int_equal(told, 0);
    assert_true(kafka_ahead_hold(f->ahead, true));
    assert_int_equal(partition, PAUSED);
    assert_true(kafka_ahead_is_held(f->ahead));
    assert_false(kafka_ahead_hold(f->ahead, true));
    assert_int_equal(told, 1);
    assert_true(kafka_ahead_hold(f->ahead, false));
    assert_int_equal(partition, FETCHING);
}

static void nothing_is_fetched_beside_a_heavy_batch(void **state)
{
    struct fixture *f = *state;

    heavy_batch(f);
    assert_int_equal(partition, PAUSED);
    kafka_ahead_done(f->ahead);
    assert_int_equal(partition, FETCHING);
    assert_int_equal(told, 2);
}

static void a_hold_that_ends_does_not_fetch_beside_a_heavy_batch(void **state)
{
    struct fixture *f = *state;

    heavy_batch(f);
    kafka_ahead_hold(f->ahead, true);
    assert_int_equal(partition, PAUSED);
    kafka_ahead_hold(f->ahead, false);
    assert_int_equal(partition, PAUSED);
    kafka_ahead_done(f->ahead);
    assert_int_equal(partition, FETCHING);
}

static void a_batch_that_is_done_does_not_fetch_while_held_back(void **state)
{
    struct fixture *f = *state;

    heavy_batch(f);
    kafka_ahead_hold(f->ahead, true);
    kafka_ahead_done(f->ahead);
    assert_int_equal(partition, PAUSED);
    kafka_ahead_hold(f->ahead, false);
    assert_int_equal(partition, FETCHING);
}

static void what_is_assigned_is_paused_or_is_not(void **state)
{
    struct fixture *f = *state;

    heavy_batch(f);
    partition = FETCHING;
    kafka_ahead_assigned(f->ahead);
    assert_int_equal(partition, PAUSED);
    assigned = false;
    kafka_ahead_done(f->ahead);
    assert_int_equal(partition, PAUSED);
    assigned = true;
    kafka_ahead_assigned(f->ahead);
    assert_int_equal(partition, FETCHING);
    kafka_ahead_hold(f->ahead, true);
    partition = FETCHING;
    kafka_ahead_assigned(f->ahead);
    assert_int_equal(partition, PAUSED);
}

static void what_gets_too_much_later_is_seen(void **state)
{
    struct fixture *f = *state;

    queued = TOO_MANY - 1;
    kafka_ahead_batch(f->ahead, HEAVY);
    event_base_loop(f->base, EVLOOP_ONCE);
    assert_int_equal(told, 0);
    queued = TOO_MANY;
    event_base_loop(f->base, EVLOOP_ONCE);
    assert_int_equal(partition, PAUSED);
    /* Nothing is looked at any more: the loop has no event, and says so. */
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 1);
}

static void a_batch_that_is_done_is_not_looked_at(void **state)
{
    struct fixture *f = *state;

    kafka_ahead_batch(f->ahead, HEAVY);
    kafka_ahead_done(f->ahead);
    queued = TOO_MANY;
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 1);
    assert_int_equal(told, 0);
}

/* Records ahead of it can't be too much: librdkafka has no more of them. */
static void beside_a_light_batch_records_are_fetched(void **state)
{
    static const size_t light[] = {0, 100, KAFKA_AHEAD_MAX_BYTES / KAFKA_AHEAD_RECORDS};
    struct fixture *f = *state;

    queued = KAFKA_AHEAD_RECORDS;
    for (size_t i = 0; i < COUNT(light); i++) {
        kafka_ahead_batch(f->ahead, light[i]);
        assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 1);
        kafka_ahead_done(f->ahead);
    }
    assert_int_equal(told, 0);
    kafka_ahead_batch(f->ahead, light[2] + 1);
    assert_int_equal(partition, PAUSED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_fetched_while_held_back),
        TEST(nothing_is_fetched_beside_a_heavy_batch),
        TEST(a_hold_that_ends_does_not_fetch_beside_a_heavy_batch),
        TEST(a_batch_that_is_done_does_not_fetch_while_held_back),
        TEST(what_is_assigned_is_paused_or_is_not),
        TEST(what_gets_too_much_later_is_seen),
        TEST(a_batch_that_is_done_is_not_looked_at),
        TEST(beside_a_light_batch_records_are_fetched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
