#include "check.h"

#include "common/mem.h"
#include "worker/status.h"

/* Twilio's statuses of an outbound message, in the order of its life; equal numbers: side by side.
 */
static const struct {
    const char *name;
    int place;
    bool final;
} known[] = {
    {"accepted", 1, false}, {"scheduled", 1, false},  {"queued", 2, false},
    {"sending", 3, false},  {"sent", 4, false},       {"partially_delivered", 5, false},
    {"delivered", 6, true}, {"undelivered", 6, true}, {"failed", 6, true},
    {"canceled", 6, true},  {"read", 7, true},
};

static const char *const unknown[] = {
    "teleporting", "",           "SENT",   "Delivered", "sent ", " sent",
    "delivere",    "deliveredd", "read\n", "null",      "0",
};

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

static void statuses_stand_in_the_order_of_a_life(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        for (size_t k = 0; k < COUNT(known); k++) {
            char name[64];

            snprintf(name, sizeof name, "%s and %s", known[i].name, known[k].name);
            check_int(name, sign(status_rank(known[i].name) - status_rank(known[k].name)),
                      sign(known[i].place - known[k].place));
        }
    }
}

static void nothing_more_is_said_after_a_final_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++)
        check_int(known[i].name, status_is_final(known[i].name), known[i].final);
    for (size_t i = 0; i < COUNT(unknown); i++)
        check_false(unknown[i], status_is_final(unknown[i]));
}

/* A name that nobody knows yet holds up no final status, and doesn't undo that it was sent. */
static void unknown_ones_stand_between_sent_and_the_final_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(unknown); i++) {
        check_int(unknown[i], status_rank(unknown[i]), status_rank("teleporting"));
        check_true(unknown[i], status_rank(unknown[i]) > status_rank("sent"));
        for (size_t k = 0; k < COUNT(known); k++) {
            if (known[k].final)
                check_true(known[k].name, status_rank(unknown[i]) < status_rank(known[k].name));
        }
    }
}

/* A message has no rank yet before its first status: each must be an advance. */
static void every_rank_is_above_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++)
        check_true(known[i].name, status_rank(known[i].name) > 0);
    assert_true(status_rank("teleporting") > 0);
}

/* Leaks are found by the sanitizers. */
static void free_takes_everything(void **state)
{
    struct status *status = mem_zalloc(sizeof *status);

    (void)state;
    status_free(NULL);
    status->destination_id = mem_strdup("des_1");
    status->error_message = mem_strdup("no such handset");
    status->from = mem_strdup("+15550001111");
    status->to = mem_strdup("+15557770000");
    status->messaging_service_sid = mem_strdup("MG1");
    status->parameters = mem_strdup("{}");
    status_free(status);
    status_free(mem_zalloc(sizeof *status));
}

static void keeps_so_much_of_a_text(void **state)
{
    char *long_text = check_repeat("\u20ac", 1000); /* three bytes each */
    char *text = status_text(long_text);

    (void)state;
    assert_int_equal(strlen(text), 1023);
    assert_true(strncmp(text, long_text, 1023) == 0);
    free(text);
    free(long_text);
    text = status_text("a\xff");
    assert_string_equal(text, "a\xef\xbf\xbd");
    free(text);
    assert_null(status_text(""));
    assert_null(status_text(NULL));
}

static void tells_its_size(void **state)
{
    const struct status none = {.attempt = 1};
    char text[101];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const struct status said = {.error_message = text, .parameters = text, .from = text};

    assert_int_equal(status_bytes(&said), status_bytes(&none) + 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_stand_in_the_order_of_a_life),
        cmocka_unit_test(nothing_more_is_said_after_a_final_one),
        cmocka_unit_test(unknown_ones_stand_between_sent_and_the_final_ones),
        cmocka_unit_test(every_rank_is_above_none),
        cmocka_unit_test(free_takes_everything),
        cmocka_unit_test(keeps_so_much_of_a_text),
        cmocka_unit_test(tells_its_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
