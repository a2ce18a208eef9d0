#include "worker/commands/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "worker/commands/command.h"
#include "worker/commands/commands.h"
#include "worker/commands/table.h"

#define TEXT_MAX       4096
#define LINE_MAX_BYTES ((size_t)64 << 10)

/* In the order of enum finding. */
static const struct {
    const char *word;
    const char *colour;
} findings[] = {
    {"ok", "\033[32m"},
    {"warning", "\033[33m"},
    {"FAILED", "\033[31m"},
};

static void print_json(enum finding finding, const char *thing, const char *text,
                       const char *advice)
{
    struct buf line;

    buf_init(&line, LINE_MAX_BYTES);
    buf_add_char(&line, '{');
    json_add_text(&line, "check", thing);
    json_add_text(&line, "result", finding == FINDING_FAILED ? "failed" : findings[finding].word);
    json_add_text(&line, "detail", text);
    json_add_text(&line, "advice", advice);
    buf_add_char(&line, '}');
    puts(line.data);
    buf_release(&line);
}

static void print_text(const struct check *check, enum finding finding, const char *thing,
                       const char *text, const char *advice)
{
    printf("%s%-7s%s  %-12s  ", check->colour ? findings[finding].colour : "",
           findings[finding].word, check->colour ? "\033[0m" : "", thing);
    table_print_text(text, 0);
    if (advice != NULL) {
        fputs(". ", stdout);
        table_print_text(advice, 0);
    }
    putchar('\n');
}

void check_say(struct check *check, enum finding finding, const char *thing, const char *advice,
               const char *format, ...)
{
    char text[TEXT_MAX];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    check->counts[finding]++;
    if (check->json)
        print_json(finding, thing, text, advice);
    else
        print_text(check, finding, thing, text, advice);
    fflush(stdout);
}

/* ---- settings ---- */

/* Takes the variable that `error` begins with out of the environment. False if it isn't there. */
static bool drop_named(char **environment, const char *error)
{
    size_t length = strcspn(error, ":");

    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, error, length) == 0 && (*environment)[length] == '=') {
            for (; *environment != NULL; environment++)
                environment[0] = environment[1];
            return true;
        }
    }
    return false;
}

static char **copy_environment(void)
{
    size_t count = 0;
    char **copy;

    while (environ[count] != NULL)
        count++;
    copy = mem_zalloc((count + 1) * sizeof *copy);
    memcpy(copy, environ, count * sizeof *copy);
    return copy;
}

/*
 * Says what is wrong with the settings, one line for each, and goes on with the defaults of those.
 * False if what is left is of no use.
 */
static bool load_settings(struct check *check, struct settings *settings, bool *ret_kafka)
{
    char **environment = copy_environment();
    char error[SETTINGS_ERROR_SIZE], said[SETTINGS_ERROR_SIZE] = "";
    bool loaded;

    while (!(loaded = settings_load(settings, environment, error, sizeof error))) {
        if (strcmp(error, said) != 0) /* what is set to nothing is missing once it is dropped */
            check_say(check, FINDING_FAILED, "settings",
                      "'mms-worker run --help' lists all settings", "%s", error);
        snprintf(said, sizeof said, "%s", error);
        if (!drop_named(environment, error))
            break;
        settings_release(settings);
    }
    *ret_kafka = loaded;
    if (!loaded) { /* brokers that nobody has named don't keep us from the rest */
        settings_release(settings);
        loaded = settings_load_database(settings, environment, error, sizeof error);
    }
    free(environment);
    return loaded;
}

/* Also opens them for what is looked at later. */
static void judge_secrets(struct check *check)
{
    const struct settings *settings = check->settings;
    char error[512];

    check->secrets =
        secrets_open(settings->secret_directories, settings->secret_key_files, error, sizeof error);
    if (check->secrets == NULL)
        check_say(check, FINDING_FAILED, "settings", "'mms-worker secret key' makes a key", "%s",
                  error);
    else if (secrets_warning(check->secrets)[0] != '\0')
        check_say(check, FINDING_WARNING, "settings", "Change its mode", "%s",
                  secrets_warning(check->secrets));
}

static void judge_settings(struct check *check)
{
    const struct settings *settings = check->settings;

    if (settings->status_callback_url[0] != '\0' && settings->callback_listen[0] == '\0')
        check_say(check, FINDING_WARNING, "settings",
                  "Set MMS_CALLBACK_LISTEN for at least one worker",
                  "MMS_STATUS_CALLBACK_URL is set, and with these settings nobody listens for what "
                  "Twilio sends there");
    judge_secrets(check);
    if (check->counts[FINDING_FAILED] == 0)
        check_say(check, FINDING_OK, "settings", NULL, "all are valid");
}

/* ---- the command ---- */

static int run_checks(struct check *check, bool kafka)
{
    struct db *db;

    judge_settings(check);
    if (kafka)
        check_kafka(check);
    db = check_database(check);
    check_twilio(check, db);
    db_close(db);
    return check->counts[FINDING_FAILED] > 0 ? COMMAND_FAILED : COMMAND_DONE;
}

static int run(const struct arguments *arguments)
{
    struct check check = {.destination = argument(arguments, "destination"),
                          .seconds = 10,
                          .json = argument(arguments, "json") != NULL};
    struct settings settings;
    int64_t timeout;
    bool kafka;
    int status = COMMAND_FAILED;

    if (argument(arguments, "timeout") != NULL) {
        if (!argument_duration(arguments, "timeout", &timeout))
            return COMMAND_WRONG;
        if (timeout > 600 * CLOCK_SECOND)
            return command_wrong(arguments, "--timeout: expected at most 10m");
        check.seconds = timeout < CLOCK_SECOND ? 1 : (int)(timeout / CLOCK_SECOND);
    }
    check.colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
    check.settings = &settings;
    if (load_settings(&check, &settings, &kafka))
        status = run_checks(&check, kafka);
    secrets_close(check.secrets);
    settings_release(&settings);
    return status;
}

static const struct command_option options[] = {
    {"destination", "ID", "look at this destination alone"},
    {"timeout", "DURATION", "limit of each thing that has to answer (10s)"},
    {"json", NULL, "one JSON object a line: check, result, detail, advice"},
    {NULL, NULL, NULL},
};

const struct command command_check = {
    "check",
    NULL,
    "look whether all is ready for a worker",
    "Looks at settings, Kafka, topics, consumer group, PostgreSQL, schema, clocks, Twilio, and "
    "the\n"
    "config and credentials of each destination. One line for each: ok, warning or FAILED, and\n"
    "what to do. Sends no message and changes nothing. Twilio is asked once for each pair of\n"
    "credentials, at most five times a second.\n"
    "Exit status: 0 if nothing has FAILED, 1 otherwise, also if a setting is wrong (the rest is\n"
    "then looked at with that setting's default); 2 for wrong arguments.\n",
    options,
    COMMAND_NEEDS_NOTHING,
    run,
    false,
    "mms_worker",
};
