#include "metrics.h"

#include <inttypes.h>
#include <string.h>

static struct metric *first;
static struct metric **last = &first;

void metrics_register(struct metric *metric)
{
    *last = metric;
    last = &metric->next;
}

void metrics_write(struct buf *out)
{
    const char *previous = "";

    for (const struct metric *m = first; m != NULL; m = m->next) {
        if (strcmp(previous, m->name) != 0)
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
        previous = m->name;
        buf_add_string(out, m->name);
        if (m->label != NULL)
            buf_printf(out, "{%s}", m->label);
        buf_printf(out, " %" PRId64 "\n", m->value);
    }
}
