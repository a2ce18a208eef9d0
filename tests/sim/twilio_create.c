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

static bool check_opt_out(const struct form *form, const struct opt_outs *opt_outs,
                          struct twilio_error *e)
{
    const char *to = form_get(form, "To");

    if (opt_outs_has(opt_outs, form_get(form, "From"), to) ||
        opt_outs_has(opt_outs, form_get(form, "MessagingServiceSid"), to))
        return render_set_error(e, 400, 21610, "Attempt to send to unsubscribed recipient");
    return true;
}

static bool is_callback_url(const char *url)
{
    const char *host;

    if (!is_media_url(url))
        return false;
    host = strstr(url, "://") + 3;
    return memchr(host, '_', strcspn(host, ":/?#")) == NULL;
}

static bool check_callback(const struct form *form, struct twilio_error *e)
{
    const char *callback = form_get_nonempty(form, "StatusCallback");

    if (callback != NULL && !is_callback_url(callback))
        return render_set_error(e, 400, 21609, "The 'StatusCallback' URL %s is not a valid URL.",
                                callback);
    return true;
}

static bool check_validity(const struct form *form, struct twilio_error *e)
{
    const char *validity = form_get_nonempty(form, "ValidityPeriod");
    char *end;
    long seconds;

    if (validity == NULL)
        return true;
    seconds = strtol(validity, &end, 10);
    if (seconds < 1 || seconds > 36000 || *end != '\0')
        return render_set_error(e, 400, 21624, "The ValidityPeriod value %s is invalid.", validity);
    return true;
}

/* Parameters of which Twilio knows just two values. */
static bool check_choices(const struct form *form, struct twilio_error *e)
{
    static const struct {
        const char *name, *first, *second;
        int code;
    } choices[] = {{"ContentRetention", "retain", "discard", 30029},
                   {"AddressRetention", "retain", "obfuscate", 30030},
                   {"RiskCheck", "enable", "disable", 20422}};

    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        const char *value = form_get_nonempty(form, choices[i].name);

        if (value != NULL && strcmp(value, choices[i].first) != 0 &&
            strcmp(value, choices[i].second) != 0)
            return render_set_error(e, 400, choices[i].code, "Invalid %s: %s", choices[i].name,
                                    value);
    }
    return true;
}

static bool is_true(const struct form *form, const char *name)
{
    const char *value = form_get(form, name);

    return value != NULL && strcasecmp(value, "true") == 0;
}

static bool check_options(const struct form *form, struct twilio_error *e)
{
    const char *application = form_get_nonempty(form, "ApplicationSid");

    if (!check_callback(form, e) || !check_validity(form, e) || !check_choices(form, e))
        return false;
    if (application != NULL && !twilio_auth_is_sid(application, "AP"))
        return render_set_error(e, 400, 20422, "Invalid ApplicationSid: %s", application);
    if (is_true(form, "ShortenUrls") && form_get_nonempty(form, "MessagingServiceSid") == NULL)
        return render_set_error(e, 400, 21619, "ShortenUrls requires a MessagingServiceSid.");
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

/* Twilio's own links in place of those in the body. */
static char *shorten_urls(const char *body)
{
    struct text out = {0};
    unsigned count = 0;

    while (*body != '\0') {
        if (strncasecmp(body, "http://", 7) == 0 || strncasecmp(body, "https://", 8) == 0) {
            text_addf(&out, "https://twil.io/x%04u", ++count);
            body += strcspn(body, " \t\r\n");
        } else {
            text_add_char(&out, *body++);
        }
    }
    if (out.data == NULL)
        return text_copy("");
    return out.data;
}

static char *obfuscate(const char *to)
{
    char *shown = text_copy(to);
    size_t len = strlen(shown);

    for (size_t i = len < 4 ? 0 : len - 4; i < len; i++)
        shown[i] = 'X';
    return shown;
}

/* What Twilio is to forget of the message, or to change in it. */
static void apply_privacy(struct message *m, const struct form *form)
{
    const char *content = form_get_nonempty(form, "ContentRetention");
    const char *address = form_get_nonempty(form, "AddressRetention");

    if (content != NULL && strcmp(content, "discard") == 0)
        m->shown_body = text_copy("");
    else if (is_true(form, "ShortenUrls"))
        m->shown_body = shorten_urls(m->body);
    if (address != NULL && strcmp(address, "obfuscate") == 0)
        m->shown_to = obfuscate(m->to);
}

static struct message *draft(struct store *store, const char *account, const struct form *form)
{
    const char *body = form_get(form, "Body");
    bool mms = form_get(form, "MediaUrl") != NULL || is_true(form, "SendAsMms");
    struct message *m = store_draft(store, mms ? "MM" : "SM");

    m->account = text_copy(account);
    m->to = text_copy(form_get(form, "To"));
    m->from = copy_or_null(form_get_nonempty(form, "From"));
    m->service = copy_or_null(form_get_nonempty(form, "MessagingServiceSid"));
    m->body = text_copy(body == NULL ? "" : body);
    if (form_get(form, "MediaUrl") != NULL)
        copy_media(m, form);
    m->callback = copy_or_null(form_get_nonempty(form, "StatusCallback"));
    m->status = text_copy(m->service == NULL ? "queued" : "accepted");
    m->num_segments = count_segments(m->body, mms);
    apply_privacy(m, form);
    return m;
}

struct message *twilio_create(struct store *store, const struct opt_outs *opt_outs,
                              const char *account, const struct form *form,
                              struct twilio_error *ret_error)
{
    struct message *m;

    if (!check_presence(form, ret_error) || !check_to(form, ret_error) ||
        !check_from(form, ret_error) || !check_opt_out(form, opt_outs, ret_error) ||
        !check_body(form, ret_error) || !check_media(form, ret_error) ||
        !check_options(form, ret_error))
        return NULL;
    m = draft(store, account, form);
    store_add(store, m);
    return m;
}
