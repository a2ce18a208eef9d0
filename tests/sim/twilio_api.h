/*
 * The Twilio API with its faults: takes each request, logs it, lets a fault rule have its way with
 * it, and answers now or later. A message that it creates begins its life here.
 */
#ifndef SIM_TWILIO_API_H
#define SIM_TWILIO_API_H

#include <stdint.h>

#include "callbacks.h"
#include "faults.h"
#include "http_server.h"
#include "lives.h"
#include "opt_outs.h"
#include "requests_log.h"
#include "store.h"
#include "twilio_auth.h"
#include "wall.h"

struct event_base;
struct twilio_api;

/* `wall`, borrowed, is Twilio's clock; twilio_api_reset sets it right. */
struct twilio_api *twilio_api_new(struct event_base *base, struct wall *wall);
/* Drops the requests that still wait for an answer. */
void twilio_api_free(struct twilio_api *api);

/* Takes an exchange over and sees to it that it is ended. */
void twilio_api_handle(struct twilio_api *api, struct http_exchange *ex);

/* Every answer waits so many milliseconds (beside what a fault adds); affects requests from now on.
 */
void twilio_api_set_latency(struct twilio_api *api, int64_t ms);
/* Handles the requests that hang because of rule `id` (0: any rule) as if there had been no rule.
 */
void twilio_api_release_hung(struct twilio_api *api, uint64_t id);
/* Twilio's clock is so many milliseconds ahead of the machine's. */
void twilio_api_set_clock(struct twilio_api *api, int64_t offset_ms);
/* Forgets everything: messages, their lives and callbacks, logs, rules, accounts, opt-outs,
 * latency, the clock's offset. Waiting requests are dropped. */
void twilio_api_reset(struct twilio_api *api);

/* The parts, for whoever controls them; owned by the API. */
struct store *twilio_api_store(struct twilio_api *api);
struct faults *twilio_api_faults(struct twilio_api *api);
struct requests_log *twilio_api_log(struct twilio_api *api);
struct twilio_auth *twilio_api_auth(struct twilio_api *api);
struct lives *twilio_api_lives(struct twilio_api *api);
struct callbacks *twilio_api_callbacks(struct twilio_api *api);
struct opt_outs *twilio_api_opt_outs(struct twilio_api *api);

#endif
