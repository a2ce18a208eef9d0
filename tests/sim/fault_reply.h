/* What the faults do to replies. */
#ifndef SIM_FAULT_REPLY_H
#define SIM_FAULT_REPLY_H

#include <stdbool.h>

#include "faults.h"
#include "http_server.h"
#include "twilio_resource.h"

/* Whether Twilio is to handle the request at all under this rule (NULL: no rule), that is whether a
 * message is stored. */
bool fault_reply_wants_handling(const struct fault *rule);
/* Changes the reply (empty if it was not wanted) into what the rule makes of it. */
void fault_reply_apply(struct reply *reply, const struct fault *rule,
                       const struct twilio_request *r);

/* How the reply goes out. */
enum fault_ending { ENDING_ANSWER, ENDING_DROP, ENDING_RESET };
enum fault_ending fault_reply_ending(const struct fault *rule);
/* Sets the answer's cut, where the rule has one. */
void fault_reply_cut(struct http_answer *answer, const struct fault *rule);

#endif
