/* Fault rules as the control API writes them: from JSON, and back. */
#ifndef SIM_FAULT_SPEC_H
#define SIM_FAULT_SPEC_H

#include "faults.h"
#include "fields.h"
#include "text.h"

/* Makes a rule of what `f` reads. Returns it, referenced once, or NULL with the reason in f->error.
 */
struct fault *fault_spec_parse(struct fields *f);
/* Appends a rule as a JSON object: id, fault, hits, what is left of times and skip, match,
 * parameters. */
void fault_spec_write(struct text *out, const struct fault *rule);

#endif
