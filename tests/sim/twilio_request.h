/* A request to the Twilio API taken apart: which resource, whose account, which parameters. */
#ifndef SIM_TWILIO_REQUEST_H
#define SIM_TWILIO_REQUEST_H

#include "form.h"
#include "http_server.h"
#include "render.h"
#include "twilio_auth.h"

struct twilio_request {
    const struct http_request *http; /* borrowed */
    enum {
        ROUTE_UNKNOWN,
        ROUTE_ACCOUNT,  /* …/Accounts/{sid} */
        ROUTE_MESSAGES, /* …/Messages */
        ROUTE_MESSAGE,  /* …/Messages/{sid} */
    } route;
    enum render_format format; /* XML where the path has no .json */
    char *account;             /* owned; as it stands in the path, "" if there is none */
    char *sid;                 /* owned; "" if there is none */
    struct twilio_credentials credentials;
    struct form params; /* of the body (POST) or the query (all other methods) */
};

/* `http` must outlive the result. Release with twilio_request_release. */
void twilio_request_parse(struct twilio_request *ret_request, const struct http_request *http);
void twilio_request_release(struct twilio_request *r);

#endif
