/* Strangers' words on a terminal: nothing that moves its cursor, and never wider than it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "worker/commands/columns.h"
#include "worker/commands/frame.h"
#include "worker/commands/table.h"
#include "worker/commands/wrap.h"

#define DESTINATIONS    4
#define FRAME_WIDTH_MIN 40

/* Lines of text without any other control character. */
static void check_lines(char *text, int width, int height)
{
    int lines = 0;
    char *line;

    while ((line = strsep(&text, "\n")) != NULL) {
        must(fuzz_is_utf8(line, strlen(line)) && !utf8_has_control(line));
        must(width == 0 || columns_of(line) <= width);
        lines += text != NULL;
    }
    must(height == 0 || lines <= height);
}

static void check_columns(const char *text, int width)
{
    struct buf out;

    buf_init(&out, (size_t)1 << 20);
    buf_add_string(&out, "");
    columns_add(&out, text, width, width % 2 == 0);
    must(columns_of(out.data) == width);
    check_lines(out.data, width, 0);
    buf_clear(&out);
    columns_add_last(&out, text, width);
    must(columns_of(out.data) <= width);
    check_lines(out.data, width, 0);
    buf_release(&out);
}

static void check_frame(const struct fuzz_input *input, int width, int height)
{
    struct frame_destination destinations[DESTINATIONS];
    struct frame_worker worker = {fuzz_text(input, 1), 7};
    struct frame frame = {.at = "2026-01-31T12:00:00Z",
                          .database_trouble = input->count > 9 ? fuzz_text(input, 9) : NULL,
                          .destinations = destinations,
                          .destination_count = DESTINATIONS,
                          .destinations_all = 1000,
                          .workers = &worker,
                          .worker_count = 1,
                          .kafka_trouble = fuzz_text(input, 2),
                          .group_name = "g"};
    struct buf out;
    json_t *json;

    for (int i = 0; i < DESTINATIONS; i++)
        destinations[i] = (struct frame_destination){.id = fuzz_text(input, 3 + i),
                                                     .condition = "parked",
                                                     .waiting = i,
                                                     .oldest_s = -1,
                                                     .parked_s = 59 + i,
                                                     .parked_reason = fuzz_text(input, 7)};
    buf_init(&out, (size_t)1 << 20);
    frame_add_json(&out, &frame);
    json = json_loadb(out.data, out.length, JSON_REJECT_DUPLICATES, NULL);
    must(json_is_object(json));
    json_decref(json);
    buf_clear(&out);
    frame_add_text(&out, &frame, width, height);
    check_lines(out.data, width > FRAME_WIDTH_MIN ? width : FRAME_WIDTH_MIN, height);
    buf_release(&out);
}

/* What is printed; stdout is a variable of glibc's. */
static void check_printed(const char *text, int width)
{
    FILE *before = stdout;
    char *printed = NULL;
    size_t length;

    stdout = open_memstream(&printed, &length);
    table_print_text(text, width);
    putchar('\n');
    wrap_print(2, "label ", 12, text);
    fclose(stdout);
    stdout = before;
    check_lines(printed, 0, 0);
    free(printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    int width, height;
    bool text = true;

    fuzz_split(data, size, &input);
    width = 1 + abs(atoi(fuzz_text(&input, 0)) % 200);
    height = width % 40;
    for (int i = 0; i < input.count; i++)
        text = text && fuzz_is_utf8(input.pieces[i], strlen(input.pieces[i]));
    if (text) {
        check_columns(fuzz_text(&input, 1), width);
        check_frame(&input, width, height);
        check_printed(fuzz_text(&input, 1), width);
    }
    fuzz_release(&input);
    return 0;
}
