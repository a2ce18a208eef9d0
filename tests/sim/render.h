/* Twilio's representations: the Message resource and the error, in JSON and in XML. */
#ifndef SIM_RENDER_H
#define SIM_RENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"
#include "text.h"

enum render_format { RENDER_JSON, RENDER_XML };

/* An error as Twilio reports it. */
struct twilio_error {
    int status;         /* HTTP */
    int code;           /* Twilio's */
    const char *detail; /* a literal or NULL: no such field */
    char message[1024];
};

/* Fills in an error; the message is a printf format. Always returns false, so that checks can
 * return it. */
bool render_set_error(struct twilio_error *e, int status, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The HTTP status and message that go with a code by default; false if the code is not known here.
 */
bool render_default_error(int code, int *ret_status, const char **ret_message);

/* One Message without any envelope; without its sid if so wished. */
void render_message(struct text *out, const struct message *m, enum render_format format,
                    bool without_sid);
/* A complete body. */
void render_message_document(struct text *out, const struct message *m, enum render_format format,
                             bool without_sid);
/* An active account that is paid for. Its auth token, which Twilio shows here, is not. */
void render_account_document(struct text *out, const char *account, enum render_format format);
void render_error_document(struct text *out, const struct twilio_error *e,
                           enum render_format format);
const char *render_content_type(enum render_format format);

/* "YYYY-MM-DD" in UTC and a NUL; `at` in nanoseconds since 1970. */
void render_day(int64_t at, char out[16]);

#endif
