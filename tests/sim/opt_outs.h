/* Who does not want to hear from whom: pairs of a sender (or a messaging service) and a recipient.
 */
#ifndef SIM_OPT_OUTS_H
#define SIM_OPT_OUTS_H

#include <stdbool.h>
#include <stddef.h>

/* A zeroed struct holds none. */
struct opt_outs {
    struct opt_out *items;
    size_t count, cap;
};

/* Once is enough: a pair that is there already is not added again. */
void opt_outs_add(struct opt_outs *o, const char *from, const char *to);
/* Returns how many there were. */
size_t opt_outs_remove(struct opt_outs *o, const char *from, const char *to);
size_t opt_outs_clear(struct opt_outs *o);
/* NULL for `from` is nobody. */
bool opt_outs_has(const struct opt_outs *o, const char *from, const char *to);

#endif
