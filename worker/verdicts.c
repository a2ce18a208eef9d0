#include "worker/verdicts.h"

#include <stdlib.h>
#include <string.h>

#define RULE(number, outcome_, scope_, reason_, ...)                              \
    {                                                                             \
        .code = (number), .outcome = OUTCOME_##outcome_, .scope = SCOPE_##scope_, \
        .reason = (reason_), .advice = __VA_ARGS__                                \
    }

#define WORKER_ASKS \
    "Nothing for now; the worker asks Twilio whether it has the message before it sends again."
#define LOOK_FIRST \
    "Look at the message in Twilio's log before it is sent again; Twilio failed inside."
#define LOOK_UP "Look up the error code at twilio.com/docs/api/errors."

/*
 * In the order of the codes, for bsearch.
 *
 * Most of 11xxx, 12xxx, 30xxx and 63xxx reach a message after Twilio took it; what stands here for
 * them as the answer to a create is chosen so that nothing is sent twice: "unknown" wherever Twilio
 * itself can't say what became of the message, "retry" only where it surely wasn't sent and time
 * or the operator mends it, "failed" for the rest. What one recipient or the hour is to blame for
 * never parks a destination: it would hold back the messages to everybody else. What the sender has
 * used up or lacks does: otherwise its backlog would be burnt.
 */
static const struct verdict_rule rules[] = {
    RULE(10001, RETRY, ACCOUNT, "ACCOUNT_INACTIVE",
         "Reactivate the Twilio account, or add funds; after a payment it takes up to 10 minutes."),
    RULE(11200, FAILED, MESSAGE, "FETCH_FAILED",
         "Check that Twilio can fetch the media URLs and reach the status callback from the "
         "internet."),
    RULE(11210, FAILED, MESSAGE, "FETCH_FAILED",
         "Correct the host name in the media URLs or the status callback; Twilio can't resolve "
         "it."),
    RULE(11220, FAILED, MESSAGE, "FETCH_FAILED",
         "Repair TLS at the host of the media URLs or the status callback; Twilio's handshake with "
         "it fails."),
    RULE(11751, FAILED, MESSAGE, "MEDIA_TOO_LARGE",
         "Make the media smaller; text and media of one message may have 5 MB together."),
    RULE(12300, FAILED, MESSAGE, "MEDIA_TYPE_INVALID",
         "Have the media's server send a Content-Type that MMS takes, such as image/jpeg or "
         "image/png."),
    RULE(14107, RETRY, MESSAGE, "PAIR_RATE_LIMIT",
         "Look for a loop of automatic replies between sender and recipient; Twilio stops it at "
         "30 in 30 seconds."),
    RULE(20003, RETRY, ACCOUNT, "AUTHENTICATION_FAILED",
         "Check auth.account_sid and auth.auth_token (or the API key) of the destination, and that "
         "the account is not suspended."),
    RULE(20005, RETRY, ACCOUNT, "ACCOUNT_INACTIVE",
         "Add funds to the Twilio account, or finish its activation in Twilio's console."),
    RULE(20006, RETRY, ACCOUNT, "ACCESS_DENIED",
         "Check in Twilio's console what the account and its API key are allowed to do."),
    RULE(20008, RETRY, DESTINATION, "TEST_CREDENTIALS",
         "Put the account's live credentials into auth; test credentials can't do this."),
    RULE(20403, RETRY, ACCOUNT, "ACCOUNT_CLOSED",
         "Ask Twilio's support why the account is suspended or closed, or put another one into "
         "auth."),
    RULE(20404, RETRY, DESTINATION, "ACCOUNT_NOT_FOUND",
         "Check auth.account_sid of the destination, and MMS_TWILIO_BASE_URL; there is no such "
         "account there."),
    RULE(20422, FAILED, MESSAGE, "PARAMETER_INVALID",
         "Correct the parameter that error_message names, in the destination's config or in the "
         "event."),
    RULE(20426, RETRY, DESTINATION, "UPGRADE_REQUIRED",
         "Check MMS_TWILIO_BASE_URL and any proxy on the way; Twilio wants a newer TLS or HTTP "
         "version."),
    RULE(20429, RETRY, ACCOUNT, "TOO_MANY_REQUESTS",
         "Make fewer requests at a time with this account, or ask Twilio for a higher concurrency "
         "limit.",
         .busy = true), /* "never processed and is always safe to retry" (its error page) */
    /* "POST requests are not idempotent" (error page 20500). */
    RULE(20500, UNKNOWN, MESSAGE, "SERVER_ERROR", WORKER_ASKS),
    RULE(20503, UNKNOWN, MESSAGE, "SERVER_ERROR", WORKER_ASKS),
    RULE(20504, UNKNOWN, MESSAGE, "SERVER_ERROR", LOOK_FIRST),
    RULE(21211, FAILED, MESSAGE, "RECIPIENT_INVALID",
         "Correct the recipient's number in the event or the destination's to; it is not a valid "
         "one."),
    RULE(21212, RETRY, DESTINATION, "SENDER_INVALID",
         "Correct the destination's from: a phone number, short code or alphanumeric sender ID."),
    RULE(21214, FAILED, MESSAGE, "RECIPIENT_UNREACHABLE",
         "Check the recipient's number; Twilio can't reach it."),
    RULE(21217, FAILED, MESSAGE, "RECIPIENT_INVALID",
         "Correct the recipient's number in the event or the destination's to; it is not a valid "
         "one."),
    RULE(21265, FAILED, MESSAGE, "RECIPIENT_IS_SHORT_CODE",
         "Give the recipient's phone number; messages can't be sent to a short code."),
    RULE(21266, FAILED, MESSAGE, "RECIPIENT_IS_SENDER",
         "Correct the recipient or the destination's from; both are the same number."),
    RULE(21408, RETRY, DESTINATION, "REGION_NOT_ENABLED",
         "Enable the recipient's country in Twilio's console under Messaging > Geo permissions.",
         .varies = true),
    RULE(21601, RETRY, DESTINATION, "SENDER_NOT_CAPABLE",
         "Set the destination's from to a number of the account that can send messages."),
    RULE(21602, FAILED, MESSAGE, "BODY_REQUIRED",
         "Check body_template and media_urls against the event; they gave neither text nor media."),
    RULE(21603, RETRY, DESTINATION, "SENDER_MISSING",
         "Set from or messaging_service_sid in the destination's config."),
    RULE(21604, FAILED, MESSAGE, "RECIPIENT_MISSING",
         "Check the destination's to against the event; it gave no recipient."),
    RULE(21606, RETRY, DESTINATION, "SENDER_NOT_CAPABLE",
         "Set the destination's from to a number of the account that can send MMS to this "
         "country.",
         .varies = true),
    RULE(21607, RETRY, DESTINATION, "SENDER_NOT_TRIAL_NUMBER",
         "Set the destination's from to the trial account's own number, or upgrade the account."),
    RULE(21608, FAILED, MESSAGE, "RECIPIENT_NOT_VERIFIED",
         "Verify the recipient's number in Twilio's console, or upgrade the trial account."),
    RULE(21609, RETRY, DESTINATION, "STATUS_CALLBACK_INVALID",
         "Correct status_callback or MMS_STATUS_CALLBACK_URL: a public URL without an underscore "
         "in its host name."),
    RULE(21610, FAILED, MESSAGE, "RECIPIENT_OPTED_OUT",
         "The recipient has opted out; leave them alone, or once they have sent START delete their "
         "row in mms.opt_outs."),
    RULE(
        21611, RETRY, DESTINATION, "SENDER_QUEUE_FULL",
        "Wait until the sender's queue at Twilio has drained, or put more senders into a messaging "
        "service."),
    RULE(21612, FAILED, MESSAGE, "RECIPIENT_UNREACHABLE",
         "Check that the sender can send MMS to the recipient's country, or set sms_fallback to "
         "send SMS then.",
         .no_mms = true),
    RULE(21614, FAILED, MESSAGE, "RECIPIENT_NOT_MOBILE",
         "Give a mobile number of the recipient; this one can't receive messages."),
    RULE(21616, RETRY, DESTINATION, "SENDER_AMBIGUOUS",
         "Write the destination's from in full (+ and country code); it matches several numbers."),
    RULE(21617, FAILED, MESSAGE, "BODY_TOO_LONG",
         "Shorten the text well below 1600 characters (Twilio counts emoji several times), or set "
         "body_overflow to truncate."),
    RULE(21618, FAILED, MESSAGE, "BODY_REFUSED", "Change the text; Twilio does not send this one."),
    RULE(21619, FAILED, MESSAGE, "CONTENT_REQUIRED",
         "Check body_template and media_urls against the event; they gave neither text nor media."),
    RULE(21620, FAILED, MESSAGE, "MEDIA_URL_INVALID",
         "Correct the media URLs; each has to be a valid public http or https address."),
    RULE(21621, RETRY, DESTINATION, "SENDER_NOT_CAPABLE",
         "Set the destination's from to a number that is enabled for MMS, or set sms_fallback to "
         "send SMS.",
         .no_mms = true),
    RULE(21622, RETRY, DESTINATION, "MMS_NOT_ENABLED",
         "Ask Twilio to enable MMS for the account, or set sms_fallback to send SMS.",
         .no_mms = true),
    RULE(21623, FAILED, MESSAGE, "MEDIA_URLS_COUNT", "Give a message at most 10 media URLs."),
    RULE(21624, RETRY, DESTINATION, "VALIDITY_PERIOD_INVALID",
         "Correct the destination's validity_period: 1 to 36000 seconds."),
    RULE(21635, FAILED, MESSAGE, "RECIPIENT_IS_LANDLINE",
         "Give a mobile number of the recipient; this one is a landline."),
    RULE(21659, RETRY, DESTINATION, "SENDER_INVALID",
         "Set the destination's from to a Twilio number of the account; this one isn't, or its "
         "country does not match.",
         .varies = true),
    RULE(21660, RETRY, DESTINATION, "SENDER_NOT_OWNED",
         "Set the destination's from to a number of the account in auth; this one is not its own."),
    RULE(21661, RETRY, DESTINATION, "SENDER_NOT_CAPABLE",
         "Set the destination's from to a number of the account that can send messages."),
    RULE(21701, RETRY, DESTINATION, "MESSAGING_SERVICE_NOT_FOUND",
         "Correct messaging_service_sid; the account has no such messaging service."),
    RULE(21702, RETRY, DESTINATION, "MESSAGING_SERVICE_UNAVAILABLE",
         "Check the messaging service in Twilio's console; it can't send at present."),
    RULE(21703, FAILED, MESSAGE, "MESSAGING_SERVICE_NOT_CAPABLE",
         "Add a sender that can send MMS to this recipient to the messaging service, or set "
         "sms_fallback.",
         .no_mms = true),
    RULE(21704, RETRY, DESTINATION, "MESSAGING_SERVICE_EMPTY",
         "Add a phone number to the messaging service in Twilio's console."),
    RULE(21705, RETRY, DESTINATION, "MESSAGING_SERVICE_INVALID",
         "Correct messaging_service_sid: MG and 32 hexadecimal digits, as Twilio's console shows "
         "it."),
    RULE(30001, RETRY, DESTINATION, "SENDER_QUEUE_FULL",
         "Wait until the sender's queue at Twilio has drained, then send the message again."),
    RULE(30002, RETRY, ACCOUNT, "ACCOUNT_SUSPENDED",
         "Ask Twilio's support why the account is suspended, or put another one into auth."),
    RULE(
        30003, FAILED, MESSAGE, "HANDSET_UNREACHABLE",
        "Send it again later if it still matters; the phone was off, out of reach or can't receive "
        "messages."),
    RULE(30004, FAILED, MESSAGE, "MESSAGE_BLOCKED",
         "Do not repeat it; the recipient or their carrier blocks messages of this sender."),
    RULE(30005, FAILED, MESSAGE, "HANDSET_UNKNOWN",
         "Check the recipient's number; the carrier does not know it, or it is out of use."),
    RULE(30006, FAILED, MESSAGE, "CARRIER_UNREACHABLE",
         "Give a mobile number of the recipient; this one is a landline, or its carrier can't be "
         "reached."),
    RULE(30007, FAILED, MESSAGE, "MESSAGE_FILTERED",
         "Check text, links and the sender's registration; the carrier or Twilio filtered the "
         "message as unwanted."),
    RULE(30008, UNKNOWN, MESSAGE, "DELIVERY_ERROR",
         "Look at the message in Twilio's log before it is sent again; the carrier gave no reason "
         "for the failure."),
    RULE(30010, FAILED, MESSAGE, "PRICE_TOO_HIGH",
         "Raise or remove the destination's max_price; the message costs more than it allows."),
    RULE(30011, FAILED, MESSAGE, "MMS_NOT_SUPPORTED",
         "Send SMS to this recipient, whose phone or region takes no MMS, or set sms_fallback.",
         .no_mms = true),
    RULE(30017, RETRY, MESSAGE, "CARRIER_CONGESTED",
         "Send it again later if it still matters; the carrier's network was congested."),
    RULE(30019, FAILED, MESSAGE, "MEDIA_TOO_LARGE",
         "Make the media smaller; 600 KB pass at every carrier."),
    RULE(30022, RETRY, DESTINATION, "CARRIER_RATE_LIMIT",
         "Send less at a time from this sender, or raise the throughput of its 10DLC campaign at "
         "Twilio."),
    RULE(30023, RETRY, DESTINATION, "CARRIER_DAILY_LIMIT",
         "Wait for midnight Pacific time, or have the daily limit of the 10DLC brand raised at "
         "Twilio."),
    RULE(30024, RETRY, DESTINATION, "SENDER_NOT_PROVISIONED",
         "Have the sender provisioned with the recipient's carrier at Twilio, or set another "
         "from."),
    RULE(30027, RETRY, DESTINATION, "CARRIER_DAILY_LIMIT",
         "Wait for midnight Pacific time; T-Mobile's daily limit of the 10DLC brand is used up."),
    RULE(30029, RETRY, DESTINATION, "CONTENT_RETENTION_INVALID",
         "Correct or remove the destination's content_retention; the account may not use this "
         "value."),
    RULE(30030, RETRY, DESTINATION, "ADDRESS_RETENTION_INVALID",
         "Correct or remove the destination's address_retention; the account may not use this "
         "value."),
    RULE(30032, RETRY, DESTINATION, "SENDER_NOT_VERIFIED",
         "Have the toll-free number verified in Twilio's console, or set another from."),
    RULE(30033, RETRY, DESTINATION, "CAMPAIGN_SUSPENDED",
         "Ask Twilio's support why the sender's 10DLC campaign is suspended, or set another from."),
    RULE(30034, RETRY, DESTINATION, "SENDER_NOT_REGISTERED",
         "Register the sender for a 10DLC campaign in Twilio's console, or set another from."),
    RULE(30035, RETRY, DESTINATION, "SENDER_NOT_READY",
         "Wait; Twilio is still setting the sender up with the carriers."),
    RULE(30036, FAILED, MESSAGE, "VALIDITY_EXPIRED",
         "Raise the destination's validity_period if late is better than never; it waited too long "
         "at Twilio."),
    RULE(30037, RETRY, ACCOUNT, "MESSAGING_DISABLED",
         "Ask Twilio's support to enable outbound messages for the account."),
    /* "Messages are failed and not retried to avoid duplicate message delivery" (its text). */
    RULE(30410, UNKNOWN, MESSAGE, "PROVIDER_TIMEOUT",
         "Ask whether the recipient has it before it is sent again; the carrier did not answer "
         "Twilio in time."),
    RULE(30450, FAILED, MESSAGE, "FRAUD_BLOCKED",
         "Wait some hours, or add the number to Twilio's safe list; SMS pumping protection blocked "
         "it."),
    RULE(30453, FAILED, MESSAGE, "FRAUD_BLOCKED",
         "Check where this traffic comes from, then wait some hours; Twilio takes it for fraud."),
    RULE(30454, RETRY, ACCOUNT, "DAILY_LIMIT",
         "Wait for the next day, or upgrade the account; its messages of the day are used up."),
    RULE(30485, FAILED, MESSAGE, "FRAUD_BLOCKED",
         "Check where this traffic comes from, then wait some hours; Twilio takes it for fraud."),
    RULE(30500, UNKNOWN, MESSAGE, "SERVER_ERROR", LOOK_FIRST),
    RULE(30610, RETRY, MESSAGE, "QUIET_HOURS",
         "Send it at another hour; the law at the recipient's place forbids messages at this one."),
    RULE(30615, RETRY, MESSAGE, "QUIET_HOURS",
         "Send it at another hour; the law at the recipient's place forbids messages at this one."),
    /* Also more than 2000 messages a second of an account and its subaccounts together. */
    RULE(63017, RETRY, ACCOUNT, "TOO_MANY_REQUESTS",
         "Spread the sending over more time; the account with its subaccounts is over Twilio's "
         "rate limit.",
         .busy = true),
    RULE(63018, RETRY, ACCOUNT, "TOO_MANY_REQUESTS",
         "Spread the sending over more time; the sender is over its channel's rate limit.",
         .busy = true),
    RULE(63019, FAILED, MESSAGE, "MEDIA_FETCH_FAILED",
         "Check that the media URLs answer a plain GET from the internet; Twilio got nothing from "
         "one."),
    RULE(63021, FAILED, MESSAGE, "MEDIA_INVALID",
         "Check the files behind the media URLs; one is damaged or of a kind that can't be sent."),
    RULE(63038, RETRY, ACCOUNT, "DAILY_LIMIT",
         "Wait for the next day, or ask Twilio for a higher limit; the account's messages of the "
         "day are used up."),
    RULE(70051, RETRY, ACCOUNT, "API_KEY_RESTRICTED",
         "Permit the API key to create and read messages in Twilio's console, or put another key "
         "into auth."),
    RULE(90009, UNKNOWN, MESSAGE, "MESSAGE_SID_CONFLICT", WORKER_ASKS),
    RULE(90010, RETRY, ACCOUNT, "ACCOUNT_INACTIVE",
         "Reactivate the Twilio account, or add funds; after a payment it takes up to 10 minutes."),
};

/* Reasons without a code. */
static const struct {
    const char *reason, *advice;
} advices[] = {
    /* The worker's own, before anything is sent. */
    {"CONFIG_INVALID", "Correct the field of the destination's config that error_message names."},
    {"TO_INVALID", "Check the destination's to against the event; it gave no number such as "
                   "+14155550100."},
    {"TOKEN_MISSING", "Add the value that error_message names to the event, or correct the "
                      "destination's template."},
    {"TOO_LONG", "Shorten what the event puts into the field that error_message names."},
    {"BODY_EMPTY", "Check body_template against the event; it gave no text."},
    {"BODY_TOO_LONG",
     "Shorten the text to 1600 characters, or set the destination's body_overflow to truncate."},
    {"MEDIA_URLS_COUNT", "Give the message 1 to 10 media URLs."},
    {"MEDIA_URL_INVALID",
     "Correct the media URL that error_message names; it has to be a public http or https "
     "address."},
    {"RECIPIENT_OPTED_OUT", "The recipient has opted out from this sender; delete the row of "
                            "mms.opt_outs once they want messages again."},
    {"EXPIRED", "Send the event again under a new event_id if it still matters, or raise "
                "MMS_EXPIRE_AFTER."},
    /* Of the way to Twilio. */
    {"NOT_CONNECTED", "Check the network, DNS and TLS between the worker and "
                      "MMS_TWILIO_BASE_URL; nothing was sent."},
    {"CERTIFICATE_REFUSED", "Check MMS_TWILIO_BASE_URL and this machine's clock, and name the "
                            "authority of a proxy that answers for Twilio in MMS_TWILIO_CA_FILE; "
                            "nothing was sent."},
    {"TIMEOUT", WORKER_ASKS},
    {"CONNECTION_LOST", WORKER_ASKS},
    {"ANSWER_CUT", WORKER_ASKS},
    {"ANSWER_UNREADABLE", WORKER_ASKS},
    {"SERVER_ERROR", WORKER_ASKS},
    {"WORKER_LOST", WORKER_ASKS},
    {"MESSAGE_TAKEN", WORKER_ASKS},
    {"UNKNOWN", "Look for the message in Twilio's log by phone and minute, then decide with the "
                "statements in OPERATING.md."},
    /* Of an HTTP status whose code is unknown or missing. */
    {"AUTHENTICATION_FAILED",
     "Check auth.account_sid and auth.auth_token (or the API key) of the destination, and what "
     "they are allowed to do."},
    {"ACCOUNT_NOT_FOUND",
     "Check auth.account_sid of the destination, and MMS_TWILIO_BASE_URL; nothing was found "
     "there."},
    {"ACCESS_DENIED",
     "Read the answer in response_body; a proxy or Twilio itself denies access, perhaps by law."},
    {"TOO_MANY_REQUESTS", "Make fewer requests at a time with this account, or ask Twilio for a "
                          "higher limit."},
    {"REQUEST_REFUSED", "Look up the error code at twilio.com/docs/api/errors, or read the answer "
                        "in response_body."},
    {"REDIRECTED", "Correct MMS_TWILIO_BASE_URL, or the proxy that redirects; the worker follows "
                   "no redirect."},
};

static int compare(const void *code, const void *rule)
{
    int a = *(const int *)code, b = ((const struct verdict_rule *)rule)->code;

    return (a > b) - (a < b);
}

const struct verdict_rule *verdicts_of_code(int code)
{
    return bsearch(&code, rules, sizeof rules / sizeof rules[0], sizeof rules[0], compare);
}

const char *verdicts_advice_of_code(int code)
{
    const struct verdict_rule *rule = verdicts_of_code(code);

    return rule != NULL ? rule->advice : LOOK_UP;
}

const char *verdicts_advice(const char *reason)
{
    for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++) {
        if (strcmp(advices[i].reason, reason) == 0)
            return advices[i].advice;
    }
    return "Read error_message and response_body of the attempt in mms.attempt_history.";
}
