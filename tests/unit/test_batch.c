#include "check.h"

#include "common/clock.h"
#include "common/mem.h"
#include "worker/batch.h"

#define S    CLOCK_SECOND
#define NOW  (INT64_C(1795333709) * S)
#define SLOT (NOW - 2 * S)
#define NEXT (NOW + 30 * S)

static char looked_into[] = "found at Twilio";

static void the_kind_is_told_from_what_it_has(void **state)
{
    static const struct {
        const char *name, *state;
        char *resolution;
        enum batch_kind kind;
    } cases[] = {
        {"accepted", "accepted", NULL, BATCH_ATTEMPT},
        {"pending", "pending", NULL, BATCH_ATTEMPT},
        {"failed", "failed", NULL, BATCH_ATTEMPT},
        {"unknown", "unknown", NULL, BATCH_ATTEMPT},
        {"expired", "expired", NULL, BATCH_ATTEMPT},
        {"resolved", "accepted", looked_into, BATCH_RESOLUTION},
        {"resolved, sent again", "pending", looked_into, BATCH_RESOLUTION},
        {"resolved, given up", "unknown", looked_into, BATCH_RESOLUTION},
        {"unattempted", NULL, NULL, BATCH_RELEASE},
        {"unattempted, looked into once", NULL, looked_into, BATCH_RELEASE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery d = {.state = cases[i].state, .resolution = cases[i].resolution};

        check_int(cases[i].name, batch_kind_of(&d), cases[i].kind);
    }
}

static void a_destination_is_woken_for_what_is_pending(void **state)
{
    static const struct {
        const char *name, *state;
        char *resolution;
        int64_t next, expected;
    } cases[] = {
        {"accepted", "accepted", NULL, 0, 0},
        {"failed", "failed", NULL, 0, 0},
        {"unknown", "unknown", NULL, 0, 0},
        {"expired", "expired", NULL, 0, 0},
        {"pending", "pending", NULL, NEXT, NEXT},
        {"resolved, sent again", "pending", looked_into, NEXT, NEXT},
        {"resolved, found", "accepted", looked_into, 0, 0},
        {"resolved, given up", "unknown", looked_into, 0, 0},
        /* What is over has no next attempt, whatever was left there. */
        {"failed, with a moment left over", "failed", NULL, NEXT, 0},
        {"unattempted: for its own slot", NULL, NULL, 0, SLOT},
        {"unattempted, with a moment left over", NULL, NULL, NEXT, SLOT},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery d = {.state = cases[i].state,
                             .resolution = cases[i].resolution,
                             .slot_at = SLOT,
                             .next_attempt_at = cases[i].next};

        check_int(cases[i].name, batch_wake_at(&d), cases[i].expected);
    }
}

/* What falls back to SMS is woken for its next slot. */
static void a_fallback_wakes_its_destination(void **state)
{
    struct delivery d = {
        .policy = {.attempts = 1},
        .verdict = {.outcome = OUTCOME_FAILED, .no_mms = true, .http_status = 400},
        .sms_fallback = true,
        .slot_at = NOW,
    };

    (void)state;
    delivery_settle(&d, NOW);
    assert_int_equal(batch_kind_of(&d), BATCH_ATTEMPT);
    assert_int_equal(batch_wake_at(&d), NOW + 1 * S);
}

static void takes_any_number(void **state)
{
    static struct delivery deliveries[1000];
    struct batch *batch = batch_new(deliveries);

    (void)state;
    assert_ptr_equal(batch->room, deliveries);
    for (size_t i = 0; i < COUNT(deliveries); i++) {
        char id[16];

        snprintf(id, sizeof id, "des_%zu", i);
        batch_add(batch, &deliveries[i]);
        batch_add_slot(batch, &(struct slot_move){mem_strdup(id), NOW, NOW + (int64_t)i});
    }
    assert_int_equal(batch->delivery_count, COUNT(deliveries));
    assert_int_equal(batch->slot_count, COUNT(deliveries));
    for (size_t i = 0; i < COUNT(deliveries); i++) {
        char id[16];

        snprintf(id, sizeof id, "des_%zu", i);
        assert_ptr_equal(batch->deliveries[i], &deliveries[i]);
        assert_string_equal(batch->slots[i].destination_id, id);
        assert_int_equal(batch->slots[i].next_slot_at, NOW + (int64_t)i);
    }
    batch_free(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kind_is_told_from_what_it_has),
        cmocka_unit_test(a_destination_is_woken_for_what_is_pending),
        cmocka_unit_test(a_fallback_wakes_its_destination),
        cmocka_unit_test(takes_any_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
