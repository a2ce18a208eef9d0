#ifndef WORKER_OPT_OUTS_H
#define WORKER_OPT_OUTS_H

#include <stdint.h>

#include "common/pg.h"
#include "worker/delivery.h"

/*
 * Recipients who opted out from a sender (mms.opt_outs) get no request. A claim says whether
 * anybody has opted out from its sender at all; only then is it asked who.
 */
struct opt_outs_check;

/* Told of each delivery since when its recipient has opted out; 0: not. Takes the delivery over. */
typedef void opt_outs_checked(void *arg, struct delivery *delivery, int64_t since);

/* A check of no delivery yet. */
struct opt_outs_check *opt_outs_check_new(opt_outs_checked *checked, void *arg);

/* Adds a delivery whose request is built; takes it over until `checked`. */
void opt_outs_add(struct opt_outs_check *check, struct delivery *delivery);

/* Asks for all of them at once, if there are any. The check is freed by itself. */
void opt_outs_check(struct opt_outs_check *check, struct pg *pg);

/* The verdict about a delivery whose recipient has opted out. */
void opt_outs_refuse(struct verdict *ret_verdict, int64_t since);

#endif
