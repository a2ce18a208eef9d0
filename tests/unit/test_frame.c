#include "check.h"

#include <string.h>

#include "worker/commands/columns.h"
#include "worker/commands/frame.h"

static void assert_text(const struct frame *frame, int width, int height, const char *expected)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    frame_add_text(&out, frame, width, height);
    assert_string_equal(out.data, expected);
    buf_release(&out);
}

static struct group_member members[] = {
    {(char *)"host-1", (char *)"10.0.0.1", (char *)"mms.events 0-3,7"},
    {(char *)"host-2", (char *)"10.0.0.2", (char *)""},
};
static struct group_topic topics[] = {{(char *)"mms.events", 12, 5}, {(char *)"mms.more", 1, 0}};
static const struct group group = {"Stable", "range", members, 2, topics, 2};
static const struct frame_worker workers[] = {{"host-1", 58}, {"host-9", 2}};
static const struct frame_destination destinations[] = {
    {"des_parked", "parked", 1200, 4000, 0, 1, 0, 0, 0, 0, 599, "AUTHENTICATION_FAILED"},
    {"des_busy", "active", 100001, 90000, 57, 1, 2, 3, 4, 10, -1, NULL},
    {"des_off", "disabled", 3, 119, 0, 0, 0, 0, 0, 0, -1, "SENDER_INVALID"},
    {"des_idle", "active", 0, -1, 1, 0, 0, 0, 0, 0, -1, NULL},
};

static struct frame whole(void)
{
    return (struct frame){.at = "2026-11-22T07:48:29Z",
                          .interval_s = 2,
                          .waiting = 100001,
                          .sending = 3,
                          .unknown = 2,
                          .disabled = 1,
                          .outbox = 4,
                          .parked = 1,
                          .sent = 60,
                          .destinations = destinations,
                          .destination_count = 4,
                          .destinations_all = 4,
                          .workers = workers,
                          .worker_count = 2,
                          .group_name = "mms-worker",
                          .group = &group};
}

static void eighty_columns(void **state)
{
    struct frame frame = whole();

    (void)state;
    assert_text(&frame, 80, 24,
                "mms-worker  2026-11-22 07:48:29 UTC  sent/min 60              every 2 s, q: quit\n"
                "waiting 100k+  sending 3  unknown 2  parked 1  disabled 1  outbox 4\n"
                "\n"
                "DESTINATION            WAIT OLDEST   /S  ACC RETRY FAIL UNKN STATE, PROBE IN\n"
                "des_parked             1200   1h6m  0.0    0     1    0    0 parked 9m AUTHENTI…\n"
                "des_busy              100k+   1d1h  1.0   57     1    6    3\n"
                "des_off                   3   119s  0.0    0     0    0    0 disabled\n"
                "des_idle                  0      -  0.0    1     0    0    0\n"
                "\n"
                "group mms-worker Stable, lag: mms.events 5, mms.more 0\n"
                "WORKER                         SENT/MIN  PARTITIONS\n"
                "host-1                               58  mms.events 0-3,7\n"
                "host-2                                0  none\n"
                "host-9                                2  no member of the group\n");
}

static void what_does_not_fit_is_counted(void **state)
{
    struct frame frame = whole();

    (void)state;
    frame.destinations_all = 217;
    assert_text(&frame, 80, 13,
                "mms-worker  2026-11-22 07:48:29 UTC  sent/min 60              every 2 s, q: quit\n"
                "waiting 100k+  sending 3  unknown 2  parked 1  disabled 1  outbox 4\n"
                "\n"
                "DESTINATION            WAIT OLDEST   /S  ACC RETRY FAIL UNKN STATE, PROBE IN\n"
                "des_parked             1200   1h6m  0.0    0     1    0    0 parked 9m AUTHENTI…\n"
                "des_busy              100k+   1d1h  1.0   57     1    6    3\n"
                "… and 215 more\n"
                "\n"
                "group mms-worker Stable, lag: mms.events 5, mms.more 0\n"
                "WORKER                         SENT/MIN  PARTITIONS\n"
                "host-1                               58  mms.events 0-3,7\n"
                "host-2                                0  none\n"
                "host-9                                2  no member of the group\n");
}

/* Whatever the terminal's height and width, no frame is higher or wider. */
static void every_size_is_kept(void **state)
{
    struct frame frame = whole();

    (void)state;
    frame.destinations_all = 99;
    for (int height = 1; height < 30; height++) {
        for (int width = 40; width < 130; width++) {
            struct buf out;
            char *rest = NULL;
            int lines = 0;

            buf_init(&out, 1 << 20);
            frame_add_text(&out, &frame, width, height);
            for (char *line = strtok_r(out.data, "\n", &rest); line != NULL;
                 line = strtok_r(NULL, "\n", &rest)) {
                assert_true(columns_of(line) <= width);
                lines++;
            }
            assert_true(lines <= height);
            buf_release(&out);
        }
    }
}

static void wider_terminals_show_more(void **state)
{
    struct frame frame = whole();
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 20);
    frame_add_text(&out, &frame, 120, 24);
    assert_non_null(strstr(out.data, "parked 9m AUTHENTICATION_FAILED\n"));
    buf_release(&out);
}

static void one_part_without_the_other(void **state)
{
    struct frame frame = whole();

    (void)state;
    frame.interval_s = 0;
    frame.group = NULL;
    frame.kafka_trouble = "no broker answers";
    frame.destination_count = 1;
    frame.destinations_all = 1;
    assert_text(&frame, 80, 0,
                "mms-worker  2026-11-22 07:48:29 UTC  sent/min 60\n"
                "waiting 100k+  sending 3  unknown 2  parked 1  disabled 1  outbox 4\n"
                "Kafka: no broker answers\n"
                "\n"
                "DESTINATION            WAIT OLDEST   /S  ACC RETRY FAIL UNKN STATE, PROBE IN\n"
                "des_parked             1200   1h6m  0.0    0     1    0    0 parked 9m AUTHENTI…\n"
                "\n"
                "WORKER                         SENT/MIN  PARTITIONS\n"
                "host-1                               58  ?\n"
                "host-9                                2  ?\n");
    frame =
        (struct frame){.at = "2026-11-22T07:48:29Z",
                       .database_trouble = "connection to server at \"db.example.com\" (10.0.0.1), "
                                           "port 5432 failed: Connection refused",
                       .group_name = "mms-worker",
                       .group = &group};
    assert_text(&frame, 80, 0,
                "mms-worker  2026-11-22 07:48:29 UTC\n"
                "PostgreSQL: connection to server at \"db.example.com\" (10.0.0.1), port 5432\n"
                "failed: Connection refused\n"
                "\n"
                "group mms-worker Stable, lag: mms.events 5, mms.more 0\n"
                "WORKER                         SENT/MIN  PARTITIONS\n"
                "host-1                                ?  mms.events 0-3,7\n"
                "host-2                                ?  none\n");
}

static void json(void **state)
{
    struct frame frame = whole();
    struct buf out;

    (void)state;
    frame.destinations = &destinations[2];
    frame.destination_count = 1;
    frame.destinations_all = 217;
    frame.worker_count = 1;
    buf_init(&out, 1 << 20);
    frame_add_json(&out, &frame);
    assert_string_equal(
        out.data,
        "{\"at\":\"2026-11-22T07:48:29Z\",\"waiting\":100001,\"sending\":3,\"unknown\":2,"
        "\"parked\":"
        "1,\"disabled\":1,\"sent_last_minute\":60,\"outbox\":4,\"destinations\":[{\"destination_"
        "id\":\"des_off\",\"condition\":\"disabled\",\"waiting\":3,\"oldest_s\":119,\"sends_last_"
        "10s\":0,\"accepted\":0,\"retry\":0,\"failed\":0,\"unknown\":0,\"expired\":0,\"parked_s\":"
        "null,\"parked_reason\":\"SENDER_INVALID\"}],\"destinations_all\":217,\"group\":{\"name\":"
        "\"mms-worker\",\"state\":\"Stable\",\"lag\":{\"mms.events\":5,\"mms.more\":0}},"
        "\"workers\":[{\"worker\":\"host-1\",\"sent_last_minute\":58,\"member\":true,\"host\":\"10."
        "0.0.1\",\"partitions\":\"mms.events 0-3,7\"},{\"worker\":\"host-2\",\"sent_last_minute\":"
        "0,\"member\":true,\"host\":\"10.0.0.2\",\"partitions\":\"\"}]}");
    buf_release(&out);
}

static void ages(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {
        {-3, "0s"},     {0, "0s"},         {119, "119s"},   {120, "2m"},         {3599, "59m"},
        {3600, "1h0m"}, {86399, "23h59m"}, {86400, "1d0h"}, {8640000, "100d0h"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;

        buf_init(&out, 100);
        frame_add_age(&out, rows[i].seconds);
        assert_string_equal(out.data, rows[i].text);
        buf_release(&out);
    }
}

static void columns_are_filled_exactly(void **state)
{
    static const struct {
        const char *text;
        int width;
        bool right;
        const char *cell;
    } rows[] = {
        {"abc", 5, false, "abc  "},
        {"abc", 5, true, "  abc"},
        {"abcdef", 5, false, "abcd…"},
        {"äöü", 4, true, " äöü"},
        {"日本語", 6, false, "日本語"},
        {"日本語", 5, false, "日本…"},
        {"日本語", 4, false, "日… "},
        {"e\xcc\x81"
         "x",
         3, false,
         "e\xcc\x81"
         "x "},
        {"a\033[31mb\nc", 9, false, "a [31mb c"},
        {"a\xc2\x9b"
         "b",
         3, false, "a b"},
        {"a\xe2\x80\xae"
         "b",
         3, false, "ab "},
        {"", 2, false, "  "},
        {"abc", 0, false, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;

        buf_init(&out, 100);
        buf_add_string(&out, "");
        columns_add(&out, rows[i].text, rows[i].width, rows[i].right);
        assert_string_equal(out.data, rows[i].cell);
        buf_release(&out);
    }
}

static void partitions_are_ranges(void **state)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    static const int numbers[] = {7, 0, 2, 1, 3, 11, 10};
    struct buf out;

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        rd_kafka_topic_partition_list_add(list, "mms.events", numbers[i]);
    rd_kafka_topic_partition_list_add(list, "zoo", 12);
    buf_init(&out, 100);
    group_add_partitions(&out, list);
    assert_string_equal(out.data, "mms.events 0-3,7,10-11; zoo 12");
    buf_release(&out);
    rd_kafka_topic_partition_list_destroy(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eighty_columns),
        cmocka_unit_test(what_does_not_fit_is_counted),
        cmocka_unit_test(every_size_is_kept),
        cmocka_unit_test(wider_terminals_show_more),
        cmocka_unit_test(one_part_without_the_other),
        cmocka_unit_test(json),
        cmocka_unit_test(ages),
        cmocka_unit_test(columns_are_filled_exactly),
        cmocka_unit_test(partitions_are_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
