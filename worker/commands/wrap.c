#include "worker/commands/wrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/utf8.h"
#include "worker/commands/table.h"

/* The bytes of `text` that go into a line of `width` characters: whole words, one at least. */
static size_t line_length(const char *text, size_t width)
{
    size_t fits = utf8_prefix(text, width);
    size_t end = fits;

    if (text[fits] == '\0' || text[fits] == ' ')
        return fits;
    while (end > 0 && text[end] != ' ')
        end--;
    return end > 0 ? end : strcspn(text, " ");
}

static void print_part(const char *text, size_t length)
{
    char *part = mem_copy(text, length);

    table_print_text(part, 0);
    free(part);
    putchar('\n');
}

void wrap_print(int indent, const char *label, int hanging, const char *text)
{
    int at = indent + (int)utf8_length(label);

    printf("%*s", indent, "");
    table_print_text(label, 0);
    do {
        size_t length;

        text += strspn(text, " ");
        printf("%*s", at < hanging ? hanging - at : 0, "");
        length = line_length(text, (size_t)(WRAP_WIDTH - (at > hanging ? at : hanging)));
        print_part(text, length);
        text += length;
        at = 0;
    } while (text[strspn(text, " ")] != '\0');
}
