/* Phone numbers and senders, against regular expressions; masked ones are none any more. */
#include "common/e164.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/fuzz/fuzz.h"

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* The length of what stands before a number's digits. */
static size_t plus(const char *text)
{
    if (text[0] == '+')
        return 1;
    return text[0] == '%' && text[1] == '2' && (text[2] == 'B' || text[2] == 'b') ? 3 : 0;
}

static void check_mask(const char *text)
{
    char *masked = mem_strdup(text), *again;

    e164_mask(masked);
    must(strlen(masked) == strlen(text));
    for (size_t i = 0; masked[i] != '\0'; i++) {
        size_t run = digits(masked + i + plus(masked + i));

        must(plus(masked + i) == 0 || run < 7 || run > 15);
        must(masked[i] == text[i] || (masked[i] == '*' && text[i] >= '0' && text[i] <= '9'));
    }
    again = mem_strdup(masked);
    e164_mask(again);
    must(strcmp(again, masked) == 0);
    free(again);
    free(masked);
}

/* A number keeps its first three and last two digits, whatever stands around it. */
static void check_number(const char *number, const char *around)
{
    size_t length = strlen(number);
    char *text = mem_printf("%s%s,%s", around, number, around);
    const char *masked = text + strlen(around);

    e164_mask(text);
    if (length > 7 && (around[0] == '\0' || digits(around + strlen(around) - 1) == 0)) {
        must(strncmp(masked, number, 4) == 0 &&
             strncmp(masked + length - 2, number + length - 2, 2) == 0);
        must(strspn(masked + 4, "*") == length - 6);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    const char *text;
    bool number, alphanumeric;

    fuzz_split(data, size, &input);
    text = fuzz_text(&input, 0);
    number = fuzz_matches("^\\+[1-9][0-9]{1,14}$", text);
    alphanumeric = fuzz_matches("^[-A-Za-z0-9 +_&]{1,11}$", text) && fuzz_matches("[A-Za-z]", text);
    must(e164_valid(text) == number);
    must(e164_alphanumeric(text) == alphanumeric);
    must(e164_valid_sender(text) == (number || alphanumeric || fuzz_matches("^[0-9]{3,8}$", text)));
    check_mask(text);
    if (number)
        check_number(text, fuzz_text(&input, 1));
    fuzz_release(&input);
    return 0;
}
