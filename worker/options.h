#ifndef WORKER_OPTIONS_H
#define WORKER_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

/*
 * What a destination may ask of Twilio beyond the message itself: fields of its config that are
 * passed on under Twilio's own names, after Twilio's own rules were applied to them.
 * Source: Twilio's Messages resource, "Create a Message".
 */
#define OPTIONS_MAX 11

struct twilio_option {
    const char *name; /* Twilio's: "ValidityPeriod". Static */
    char *value;      /* as it goes on the wire. Owned */
};

/* In a fixed order, whatever the order of the config. */
struct options {
    struct twilio_option list[OPTIONS_MAX];
    int count;
};

/* Whether a field of the config is one of these. */
bool options_has_field(const char *field);

/*
 * Reads the options of a config (an object); a null field is an absent one. False if a rule is
 * broken: `why` then has one line that names the field and what was expected. Release in either
 * case.
 */
bool options_parse(const json_t *config, struct options *ret_options, char *why, size_t why_size);

/* Appends what is allowed and hardly meant, one sentence for each behind "; ". */
void options_warn(const struct options *options, struct buf *out);

/* The value of the option with Twilio's name `name`; NULL if it isn't set. Borrowed. */
const char *options_value(const struct options *options, const char *name);

void options_release(struct options *options);

#endif
