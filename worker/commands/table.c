#include "worker/commands/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/utf8.h"

#define CELL_MAX_BYTES ((size_t)1 << 20)
#define TIMESTAMPTZ    1184 /* pg_type.dat */
#define BOOLEAN        16

/* Adds `text` in one line: what would move the cursor or colour the terminal becomes a blank. */
static void add_clean(struct buf *out, const char *text)
{
    const unsigned char *c = (const unsigned char *)text;

    for (; *c != '\0'; c++) {
        if (*c < ' ' || *c == 0x7f) {
            buf_add_char(out, ' ');
        } else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) { /* C1, some terminals obey them */
            buf_add_char(out, ' ');
            c++;
        } else {
            buf_add_char(out, (char)*c);
        }
    }
}

/* Cuts to `width` characters, the last of which then is an ellipsis. */
static void cut(struct buf *cell, int width)
{
    if (width <= 0 || cell->length == 0 || utf8_length(cell->data) <= (size_t)width)
        return;
    cell->length = utf8_prefix(cell->data, (size_t)width - 1);
    buf_add_string(cell, "…");
}

/* A value as people read it: times to the second, yes for true, nothing for false. */
static void add_value(struct buf *cell, const PGresult *rows, int row, int column)
{
    const char *text = PQgetvalue(rows, row, column);

    if (PQgetisnull(rows, row, column))
        return;
    if (PQftype(rows, column) == TIMESTAMPTZ && strlen(text) > 19)
        buf_add(cell, text, 19);
    else if (PQftype(rows, column) == BOOLEAN)
        buf_add_string(cell, text[0] == 't' ? "yes" : "no");
    else
        add_clean(cell, text);
}

/* The text of a cell; owned by the caller. */
static char *cell_text(const PGresult *rows, int row, const struct column *column)
{
    struct buf cell;

    buf_init(&cell, CELL_MAX_BYTES);
    add_value(&cell, rows, row, PQfnumber(rows, column->name));
    cut(&cell, column->width);
    return buf_detach(&cell);
}

static void print_cell(const char *text, size_t width, bool right, bool last)
{
    size_t length = utf8_length(text);
    int padding = length < width ? (int)(width - length) : 0;

    if (right)
        printf("%*s%s", padding, "", text);
    else
        printf("%s%*s", text, last ? 0 : padding, "");
    fputs(last ? "\n" : "  ", stdout);
}

static const char *heading(const struct column *column)
{
    return column->heading != NULL ? column->heading : column->name;
}

static void print_line(char *const *cells, const struct column *columns, const size_t *widths,
                       int count)
{
    for (int i = 0; i < count; i++)
        print_cell(cells[i], widths[i], columns[i].right, i == count - 1);
}

/* The widest cell of each column decides, in this part of the list or an earlier one. */
static void measure(char *const *cells, int count, int cell_count, const struct column *columns,
                    size_t *widths)
{
    for (int i = 0; i < count; i++) {
        if (widths[i] < utf8_length(heading(&columns[i])))
            widths[i] = utf8_length(heading(&columns[i]));
    }
    for (int i = 0; i < cell_count; i++) {
        size_t length = utf8_length(cells[i]);

        if (length > widths[i % count])
            widths[i % count] = length;
    }
}

static void print_table(const PGresult *rows, const struct column *columns, size_t *widths)
{
    char *heads[TABLE_COLUMNS_MAX] = {NULL};
    bool first = widths[0] == 0;
    int row_count = PQntuples(rows);
    int count = 0;
    char **cells;

    for (; count < TABLE_COLUMNS_MAX && columns[count].name != NULL; count++)
        heads[count] = (char *)heading(&columns[count]);
    cells = mem_zalloc(sizeof *cells * (size_t)(row_count * count + 1));
    for (int i = 0; i < row_count * count; i++)
        cells[i] = cell_text(rows, i / count, &columns[i % count]);
    measure(cells, count, row_count * count, columns, widths);
    if (first)
        print_line(heads, columns, widths, count);
    for (int row = 0; row < row_count; row++)
        print_line(cells + (ptrdiff_t)row * count, columns, widths, count);
    for (int i = 0; i < row_count * count; i++)
        free(cells[i]);
    free(cells);
}

static void print_json(const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++)
        puts(PQgetvalue(rows, row, PQnfields(rows) - 1));
}

PGresult *table_query(struct db *db, const char *sql, int count, const char *const *parameters)
{
    char *wrapped = mem_printf("select q.*, row_to_json(q) from (%s) q", sql);
    PGresult *rows = db_query(db, wrapped, count, parameters);

    free(wrapped);
    return rows;
}

void table_print(const struct arguments *arguments, const PGresult *rows,
                 const struct column *columns)
{
    struct table_widths widths = {{0}};

    table_print_part(arguments, rows, columns, &widths);
}

void table_print_part(const struct arguments *arguments, const PGresult *rows,
                      const struct column *columns, struct table_widths *widths)
{
    if (argument(arguments, "json") != NULL)
        print_json(rows);
    else
        print_table(rows, columns, widths->widths);
    fflush(stdout);
}

void table_copy_row(PGresult *to, const PGresult *from, int row)
{
    int place = PQntuples(to);

    for (int column = 0; column < PQnfields(from); column++) {
        bool null = PQgetisnull(from, row, column) != 0;

        PQsetvalue(to, place, column, null ? NULL : PQgetvalue(from, row, column),
                   null ? -1 : PQgetlength(from, row, column));
    }
}

void table_print_text(const char *text, int width)
{
    struct buf line;

    buf_init(&line, CELL_MAX_BYTES);
    buf_add_string(&line, "");
    add_clean(&line, text);
    cut(&line, width);
    fputs(line.data, stdout);
    buf_release(&line);
}
