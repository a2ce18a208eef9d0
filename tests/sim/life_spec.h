/* The JSON of life rules and of single steps. */
#ifndef SIM_LIFE_SPEC_H
#define SIM_LIFE_SPEC_H

#include "fields.h"
#include "lives.h"
#include "text.h"

/* NULL if anything is wrong; the fields know what. */
struct life_rule *life_spec_parse(struct fields *f);
/* A step by hand: everything but after_ms. Release it with step_release, in case of an error too.
 */
void life_spec_parse_move(struct fields *f, struct step *ret_step);
void life_spec_write(struct text *out, const struct life_rule *rule);

#endif
