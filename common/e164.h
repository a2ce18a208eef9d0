#ifndef COMMON_E164_H
#define COMMON_E164_H

#include <stdbool.h>

/* True if `text` is a phone number in E.164 form: ^\+[1-9]\d{1,14}$ (ITU-T E.164, Twilio's `To`).
 */
bool e164_valid(const char *text);

/*
 * True if `text` may stand as a sender: an E.164 number, a short code (3 to 8 digits), or an
 * alphanumeric sender ID (1 to 11 letters, digits, blanks and + - _ &, at least one letter).
 * Source: Twilio's "From" parameter and its page on alphanumeric sender IDs.
 */
bool e164_valid_sender(const char *text);

/* True if `text` is an alphanumeric sender ID, as above. Such a sender can't send MMS. */
bool e164_alphanumeric(const char *text);

/*
 * Masks phone numbers in any text, in place: of '+' (also as %2B, in URLs) and 7 to 15 digits the
 * first three and the last two digits stay: +371******00. Digits without a '+', and longer runs of
 * them, are no phone numbers.
 */
void e164_mask(char *text);

#endif
