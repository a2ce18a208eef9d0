#include "twilio_create.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"
#include "twilio_auth.h"

/* Segments of an SMS: GSM-7 and UCS-2, alone and concatenated. */
enum { GSM_ONE = 160, GSM_PART = 153, UCS_ONE = 70, UCS_PART = 67 };

static bool is_e164(const char *s)
{
    size_t digits;

    if (s[0] != '+' || s[1] < '1' || s[1] > '9')
        return false;
    digits = strspn(s + 1, "0123456789");
    return digits >= 2 && digits <= 15 && s[1 + digits] == '\0';
}

static bool is_short_code(const char *s)
{
    size_t len = strlen(s);

    return len >= 3 && len <= 8 && strspn(s, "0123456789") == len;
}

static bool is_alphanumeric_sender(const char *s)
{
    bool letter = false;
    size_t len = strlen(s);

    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)s[i]) && strchr(" +-_&", s[i]) == NULL)
            return false;
        letter = letter || isalpha((unsigned char)s[i]);
    }
    return letter && len <= 11;
}

static bool check_presence(const struct form *form, struct twilio_error *e)
{
    bool service = form_get_nonempty(form, "MessagingServiceSid") != NULL;

    if (form_get_nonempty(form, "To") == NULL)
        return render_set_error(e, 400, 21604, "A 'To' phone number is required.");
    if (!service && form_get_nonempty(form, "From") == NULL)
        return render_set_error(e, 400, 21603, "A 'From' phone number is required.");
    if (form_get_nonempty(form, "Body") != NULL || form_get_nonempty(form, "MediaUrl") != NULL ||
        form_get_nonempty(form, "ContentSid") != NULL)
        return true;
    if (service)
        return render_set_error(e, 400, 21619,
                                "A text message body or media urls must be specified.");
    return render_set_error(e, 400, 21602, "Message body is required.");
}

/* Twilio's magic numbers for recipients that cannot be sent to. */
static bool check_magic_to(const char *to, struct twilio_error *e)
{
    if (strcmp(to, "+15005550001") == 0)
        return render_set_error(e, 400, 21211, "The 'To' number %s is not a valid phone number.",
                                to);
    if (strcmp(to, "+15005550002") == 0)
        return render_set_error(e, 400, 21612,
                                "The 'To' phone number: %s, is not currently reachable using the "
                                "'From' phone number via SMS",
                                to);
    if (strcmp(to, "+15005550003") == 0)
        return render_set_error(e, 400, 21408,
                                "Permission to send an SMS has not been enabled for the region "
                                "indicated by the 'To' number: %s.",
                                to);
    if (strcmp(to, "+15005550004") == 0)
        return render_set_error(e, 400, 21610, "Attempt to send to unsubscribed recipient");
    if (strcmp(to, "+15005550009") == 0)
        return render_set_error(e, 400, 21614, "To number: %s, is not a mobile number", to);
    return true;
}

static bool check_to(const struct form *form, struct twilio_error *e)
{
    const char *to = form_get(form, "To");
    const char *from = form_get(form, "From");

    if (!is_e164(to))
        return render_set_error(e, 400, 21211, "The 'To' number %s is not a valid phone number.",
                                to);
    if (from != NULL && strcmp(to, from) == 0)
        return render_set_error(e, 400, 21266, "'To' and 'From' number cannot be the same: %s", to);
    return check_magic_to(to, e);
}

/* Unlike Twilio's test credentials this lets every other sender pass: users have numbers of their
 * own. */
static bool check_magic_from(const char *from, struct twilio_error *e)
{
    if (strcmp(from, "+15005550001") == 0)
        return render_set_error(e, 400, 21212,
                                "The 'From' number %s is not a valid phone number, shortcode, or "
                                "alphanumeric sender ID.",
                                from);
    if (strcmp(from, "+15005550000") == 0 || strcmp(from, "+15005550007") == 0)
        return render_set_error(e, 400, 21606,
                                "The From phone number %s is not a valid, SMS-capable inbound "
                                "phone number or short code for your account.",
                                from);
    if (strcmp(from, "+15005550008") == 0)
        return render_set_error(e, 429, 21611, "SMS queue is full.");
    return true;
}

static bool check_from(const struct form *form, struct twilio_error *e)
{
    const char *from = form_get_nonempty(form, "From");
    const char *service = form_get_nonempty(form, "MessagingServiceSid");

    if (service != NULL && !twilio_auth_is_sid(service, "MG"))
        return render_set_error(e, 400, 21705, "The Messaging Service Sid %s is invalid.", service);
    if (from == NULL)
        return true;
    if (!is_e164(from) && !is_short_code(from) && !is_alphanumeric_sender(from))
        return render_set_error(e, 400, 21212,
                                "The 'From' number %s is not a valid phone number, shortcode, or "
                                "alphanumeric sender ID.",
                                from);
    return check_magic_from(from, e);
}

static bool check_body(const struct form *form, struct twilio_error *e)
{
    const char *body = form_get(form, "Body");

    if (body != NULL && text_count_characters(body) > TWILIO_MAX_BODY)
        return render_set_error(e, 400, 21617,
                                "The concatenated message body exceeds the %d character limit.",
                                TWILIO_MAX_BODY);
    return true;
}

static bool is_media_url(const char *url)
{
    const char *host = strncasecmp(url, "http://", 7) == 0    ? url + 7
                       : strncasecmp(url, "https://", 8) == 0 ? url + 8
                                                              : "";

    return *host != '\0' && *host != '/' && strpbrk(url, " \t\r\n") == NULL;
}

static bool check_media(const struct form *form, struct twilio_error *e)
{
    size_t count = 0;
    const char *url;

    while ((url = form_get_nth(form, "MediaUrl", count)) != NULL) {
        if (!is_media_url(url))
            return render_set_error(e, 400, 21620,
                                    "Media urls: [%s] are invalid. Please use only valid http and "
                                    "https urls",
                                    url);
        count++;
    }
    if (count > TWILIO_MAX_MEDIA)
        return render_set_error(e, 400, 21623, "Number of media files exceeds allowed limit.");
    return true;
}

static bool check_options(const struct form *form, struct twilio_error *e)
{
    const char *validity = form_get_nonempty(form, "ValidityPeriod");
    const char *callback = form_get_nonempty(form, "StatusCallback");
    long seconds = 1;
    char *end = NULL;

    if (validity != NULL)
        seconds = strtol(validity, &end, 10);
    if (seconds < 1 || seconds > 36000 || (end != NULL && *end != '\0'))
        return render_set_error(e, 400, 21624, "The ValidityPeriod value %s is invalid.", validity);
    if (callback != NULL && !is_media_url(callback))
        return render_set_error(e, 400, 21609, "The 'StatusCallback' URL %s is not a valid URL.",
                                callback);
    return true;
}

/* One segment for an MMS; else by the length, with every non-ASCII text taken for UCS-2. */
static int count_segments(const char *body, bool mms)
{
    size_t length = strlen(body);
    size_t characters = text_count_characters(body);
    bool gsm = length == characters;
    size_t one = gsm ? GSM_ONE : UCS_ONE;
    size_t part = gsm ? GSM_PART : UCS_PART;

    if (mms || characters <= one)
        return 1;
    return (int)((characters + part - 1) / part);
}

static char *copy_or_null(const char *s)
{
    return s == NULL ? NULL : text_copy(s);
}

static void copy_media(struct message *m, const struct form *form)
{
    const char *url;

    m->media = text_alloc_zeroed(TWILIO_MAX_MEDIA * sizeof(char *));
    while ((url = form_get_nth(form, "MediaUrl", m->media_count)) != NULL)
        m->media[m->media_count++] = text_copy(url);
}

static struct message *draft(struct store *store, const char *account, const struct form *form)
{
    const char *as_mms = form_get(form, "SendAsMms");
    const char *body = form_get(form, "Body");
    bool mms =
        form_get(form, "MediaUrl") != NULL || (as_mms != NULL && strcasecmp(as_mms, "true") == 0);
    struct message *m = store_draft(store, mms ? "MM" : "SM");

    m->account = text_copy(account);
    m->to = text_copy(form_get(form, "To"));
    m->from = copy_or_null(form_get_nonempty(form, "From"));
    m->service = copy_or_null(form_get_nonempty(form, "MessagingServiceSid"));
    m->body = text_copy(body == NULL ? "" : body);
    if (form_get(form, "MediaUrl") != NULL)
        copy_media(m, form);
    m->status = m->service == NULL ? "queued" : "accepted";
    m->num_segments = m->service == NULL ? count_segments(m->body, mms) : 0;
    return m;
}

const struct message *twilio_create(struct store *store, const char *account,
                                    const struct form *form, struct twilio_error *ret_error)
{
    struct message *m;

    if (!check_presence(form, ret_error) || !check_to(form, ret_error) ||
        !check_from(form, ret_error) || !check_body(form, ret_error) ||
        !check_media(form, ret_error) || !check_options(form, ret_error))
        return NULL;
    m = draft(store, account, form);
    store_add(store, m);
    return m;
}
