/* The topic, read by a consumer that does nothing with what it reads. */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "common/clock.h"
#include "limits.h"

#define BATCH     1000
#define ASK_MS    10000
#define PASSES    64
#define PASS_SECS 60

struct reader {
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_partition_list_t *partitions;
    int64_t total; /* messages in the topic */
};

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[256];

    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK)
        limits_fail(name, error);
}

static void add_partitions(struct reader *reader, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(reader->consumer, topic, NULL);

    if (rd_kafka_metadata(reader->consumer, 0, handle, &metadata, ASK_MS) != 0)
        limits_fail(topic, "no metadata");
    reader->partitions = rd_kafka_topic_partition_list_new(metadata->topics[0].partition_cnt);
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++) {
        int32_t number = metadata->topics[0].partitions[i].id;
        int64_t low = 0, high = 0;

        rd_kafka_topic_partition_list_add(reader->partitions, topic, number)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
        rd_kafka_query_watermark_offsets(reader->consumer, topic, number, &low, &high, ASK_MS);
        reader->total += high - low;
    }
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    if (reader->total == 0)
        limits_fail(topic, "nothing in it");
}

static void reader_open(struct reader *reader, const struct kafka_limit *limit)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char error[256];

    set(conf, "bootstrap.servers", limit->bootstrap_servers);
    set(conf, "group.id", "mms-bench-limits"); /* never joined: partitions are assigned by hand */
    set(conf, "enable.auto.commit", "false");
    /* At the end of a pass the broker would hold a request for half a second. */
    set(conf, "fetch.wait.max.ms", "5");
    reader->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    if (reader->consumer == NULL)
        limits_fail("librdkafka", error);
    rd_kafka_poll_set_consumer(reader->consumer);
    reader->queue = rd_kafka_queue_get_consumer(reader->consumer);
    add_partitions(reader, limit->topic);
}

/* From the beginning to the end; messages a second, with the time that asking for the first takes.
 */
static double read_all(struct reader *reader)
{
    rd_kafka_message_t *messages[BATCH];
    int64_t begin = clock_now();
    int64_t count = 0;

    rd_kafka_assign(reader->consumer, reader->partitions);
    while (count < reader->total) {
        ssize_t got = rd_kafka_consume_batch_queue(reader->queue, 1000, messages, BATCH);

        for (ssize_t i = 0; i < got; i++) {
            count += messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR;
            rd_kafka_message_destroy(messages[i]);
        }
        if (clock_now() - begin > PASS_SECS * CLOCK_SECOND)
            limits_fail("kafka", "not all could be read");
    }
    rd_kafka_assign(reader->consumer, NULL);
    return (double)count * CLOCK_SECOND / (double)(clock_now() - begin);
}

double kafka_limit(const struct limits_rounds *rounds, const struct kafka_limit *limit)
{
    struct reader reader = {.total = 0};
    int64_t limit_us = (int64_t)(rounds->seconds * CLOCK_SECOND);
    int64_t begin;
    double rates[PASSES];
    int count = 0;

    reader_open(&reader, limit);
    read_all(&reader); /* connects */
    begin = clock_now();
    while (count < PASSES && (count < rounds->rounds || clock_now() - begin < limit_us))
        rates[count++] = read_all(&reader);
    rd_kafka_topic_partition_list_destroy(reader.partitions);
    rd_kafka_queue_destroy(reader.queue);
    rd_kafka_consumer_close(reader.consumer);
    rd_kafka_destroy(reader.consumer);
    return limits_median(rates, count);
}
