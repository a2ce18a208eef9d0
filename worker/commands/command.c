#include "worker/commands/command.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/log.h"

/* ---- looking up ---- */

const struct command *command_find(const char *name)
{
    for (int i = 0; commands[i] != NULL; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

/* Whether the command is of the group that `word` names: "destination show" of "destination". */
static bool is_of_group(const struct command *command, const char *word)
{
    size_t length = strlen(word);

    return strncmp(command->name, word, length) == 0 && command->name[length] == ' ';
}

static bool is_group(const char *word)
{
    for (int i = 0; commands[i] != NULL; i++) {
        if (is_of_group(commands[i], word))
            return true;
    }
    return false;
}

static int option_count(const struct command *command)
{
    int count = 0;

    while (command->options != NULL && command->options[count].name != NULL)
        count++;
    return count;
}

static int option_place(const struct command *command, const char *name, size_t length)
{
    for (int i = 0; i < option_count(command); i++) {
        if (strncmp(command->options[i].name, name, length) == 0 &&
            command->options[i].name[length] == '\0')
            return i;
    }
    return -1;
}

const char *argument(const struct arguments *arguments, const char *option)
{
    int place = option_place(arguments->command, option, strlen(option));

    return place >= 0 ? arguments->values[place] : NULL;
}

bool argument_duration(const struct arguments *arguments, const char *option, int64_t *ret_us)
{
    const char *text = argument(arguments, option);

    if (config_parse_duration(text, ret_us) && *ret_us > 0)
        return true;
    command_wrong(arguments,
                  "--%s: '%s' is not valid, expected a duration such as 90s, 15m, 24h, 7d", option,
                  text);
    return false;
}

bool argument_integer(const struct arguments *arguments, const char *option, int64_t min,
                      int64_t max, int64_t *ret_value)
{
    const char *text = argument(arguments, option);
    char *end;

    errno = 0;
    *ret_value = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && *ret_value >= min && *ret_value <= max)
        return true;
    command_wrong(arguments, "--%s: '%s' is not valid, expected a number from %lld to %lld", option,
                  text, (long long)min, (long long)max);
    return false;
}

/* ---- complaints ---- */

static void complain(const struct arguments *arguments, const char *format, va_list list)
{
    char text[2048];

    vsnprintf(text, sizeof text, format, list);
    for (char *c = text; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;

        /* One line, whatever was quoted, and nothing that a terminal obeys (C1 begins with C2). */
        if (byte < ' ' || byte == 0x7f || (byte == 0xc2 && ((unsigned char)c[1] & 0xe0) == 0x80))
            *c = ' ';
    }
    fprintf(stderr, "mms-worker %s: %s\n", arguments->command->name, text);
}

int command_failed(const struct arguments *arguments, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    complain(arguments, format, list);
    va_end(list);
    return COMMAND_FAILED;
}

int command_wrong(const struct arguments *arguments, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    complain(arguments, format, list);
    va_end(list);
    return COMMAND_WRONG;
}

/* ---- secrets ---- */

struct secrets *command_secrets(const struct arguments *arguments)
{
    const struct settings *settings = arguments->settings;
    char error[512];
    struct secrets *secrets =
        secrets_open(settings->secret_directories, settings->secret_key_files, error, sizeof error);

    if (secrets == NULL)
        fprintf(stderr, "mms-worker: %s\n", error);
    return secrets;
}

/* ---- help ---- */

static void print_usage(const struct command *command)
{
    printf("usage: mms-worker %s", command->name);
    if (command->operands != NULL)
        printf(" %s", command->operands);
    printf("%s\n", option_count(command) > 0 ? " [options]" : "");
}

static void print_options(const struct command *command)
{
    char name[64];

    if (option_count(command) > 0)
        printf("\n");
    for (int i = 0; i < option_count(command); i++) {
        const struct command_option *option = &command->options[i];

        snprintf(name, sizeof name, "--%s%s%s", option->name, option->value != NULL ? " " : "",
                 option->value != NULL ? option->value : "");
        printf("  %-24s %s\n", name, option->help);
    }
}

/* The commands of a group, or with NULL all. */
static void print_list(const char *group)
{
    printf("usage: mms-worker %s%sCOMMAND\n\ncommands:\n", group != NULL ? group : "",
           group != NULL ? " " : "");
    for (int i = 0; commands[i] != NULL; i++) {
        if (group == NULL || is_of_group(commands[i], group))
            printf("  %-20s %s\n", commands[i]->name, commands[i]->summary);
    }
    printf("\n'mms-worker COMMAND --help' says more.\n");
}

void command_help(const struct command *command)
{
    if (command == NULL) {
        print_list(NULL);
        return;
    }
    print_usage(command);
    printf("\n%s", command->help);
    print_options(command);
    if (command->lists_settings) {
        printf("\nSettings, from the environment:\n");
        settings_help(stdout);
    } else if (command->needs == COMMAND_NEEDS_SETTINGS) {
        printf("\n'mms-worker run --help' lists all settings.\n");
    } else if (command->needs != COMMAND_NEEDS_NOTHING) {
        printf("\nNeeds %sMMS_DATABASE_URL (or libpq's own PG* variables).\n"
               "'mms-worker run --help' lists all settings.\n",
               command->needs == COMMAND_NEEDS_ALL ? "MMS_KAFKA_BOOTSTRAP_SERVERS, " : "");
    }
    if (command->role != NULL)
        printf("%sWhoever logs in to the database needs the rights of %s.\n",
               command->needs == COMMAND_NEEDS_NOTHING ? "\n" : "", command->role);
}

/* ---- parsing ---- */

/* Takes the option at *word, and its value from the word after it. */
static bool take_option(struct arguments *arguments, char **words, int *word)
{
    const char *name = words[*word] + 2;
    size_t length = strcspn(name, "=");
    int place = option_place(arguments->command, name, length);
    const char *value = name[length] == '=' ? name + length + 1 : NULL;

    if (place < 0) {
        command_wrong(arguments, "no such option: '%s' ('mms-worker %s --help' lists them)",
                      words[*word], arguments->command->name);
        return false;
    }
    if (arguments->command->options[place].value == NULL) {
        if (value != NULL) {
            command_wrong(arguments, "--%.*s: takes no value", (int)length, name);
            return false;
        }
        value = "";
    } else if (value == NULL && (value = words[++*word]) == NULL) {
        command_wrong(arguments, "--%.*s: a value is missing, expected %s", (int)length, name,
                      arguments->command->options[place].value);
        return false;
    }
    if (arguments->values[place] != NULL) {
        command_wrong(arguments, "--%.*s: given twice", (int)length, name);
        return false;
    }
    arguments->values[place] = value;
    return true;
}

/* How many operands there are in "ID [FILE]", and how many of them must be given. */
static void count_operands(const char *operands, int *ret_all, int *ret_required)
{
    *ret_all = *ret_required = 0;
    while (operands != NULL && *operands != '\0') {
        ++*ret_all;
        *ret_required += *operands != '[';
        operands += strcspn(operands, " ");
        operands += strspn(operands, " ");
    }
}

static bool take_words(struct arguments *arguments, char **words)
{
    bool options_end = false;
    int all, required;

    count_operands(arguments->command->operands, &all, &required);
    for (int word = 0; words[word] != NULL; word++) {
        if (!options_end && strcmp(words[word], "--") == 0) {
            options_end = true;
        } else if (!options_end && strncmp(words[word], "--", 2) == 0) {
            if (!take_option(arguments, words, &word))
                return false;
        } else if (arguments->operand_count < all) {
            arguments->operands[arguments->operand_count++] = words[word];
        } else {
            command_wrong(arguments, "unexpected argument: '%s'", words[word]);
            return false;
        }
    }
    if (arguments->operand_count < required) {
        command_wrong(arguments, "an argument is missing, expected %s",
                      arguments->command->operands);
        return false;
    }
    return true;
}

static bool asks_for_help(char **words)
{
    for (; *words != NULL && strcmp(*words, "--") != 0; words++) {
        if (strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0)
            return true;
    }
    return false;
}

/* ---- running ---- */

static void on_end(int number)
{
    _exit(128 + number);
}

/*
 * A container's first process gets no signal that it has no handler for: neither Ctrl-C nor a stop
 * would end a command there.
 */
static void let_signals_end_us(void)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM};

    if (getpid() != 1)
        return;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        signal(numbers[i], on_end);
}

/* What could not be written must not look as if all were well: on a full disk, for one. */
static int call(const struct arguments *arguments)
{
    int status = arguments->command->run(arguments);

    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && status == COMMAND_DONE)
        status = command_failed(arguments, "stdout: %m");
    return status;
}

static int run(struct arguments *arguments, char *const *environment)
{
    const struct command *command = arguments->command;
    struct settings settings;
    char error[SETTINGS_ERROR_SIZE];
    bool loaded;
    int status;

    if (command->needs == COMMAND_NEEDS_NOTHING)
        return call(arguments);
    loaded = command->needs == COMMAND_NEEDS_ALL
                 ? settings_load(&settings, environment, error, sizeof error)
                 : settings_load_database(&settings, environment, error, sizeof error);
    if (loaded) {
        log_configure(LOG_WARN, true); /* `run` has it otherwise */
        arguments->settings = &settings;
        status = call(arguments);
        arguments->settings = NULL;
    } else {
        fprintf(stderr, "mms-worker: %s\n", error);
        status = COMMAND_WRONG;
    }
    settings_release(&settings);
    return status;
}

static int wrong_command(const char *what, const char *word)
{
    fprintf(stderr, "mms-worker: %s: '%s' ('mms-worker help' lists the commands)\n", what, word);
    return COMMAND_WRONG;
}

/* The command that the first words name, and in *ret_used how many they are. */
static const struct command *find_words(char **words, int *ret_used)
{
    char name[64];

    *ret_used = 2;
    if (words[1] != NULL) {
        snprintf(name, sizeof name, "%s %s", words[0], words[1]);
        if (command_find(name) != NULL)
            return command_find(name);
    }
    *ret_used = 1;
    return command_find(words[0]);
}

static int main_of_group(char **words)
{
    if (words[1] == NULL || asks_for_help(words + 1)) {
        print_list(words[0]);
        return words[1] == NULL ? COMMAND_WRONG : COMMAND_DONE;
    }
    fprintf(stderr, "mms-worker: %s: no such command: '%s' ('mms-worker %s --help' lists them)\n",
            words[0], words[1], words[0]);
    return COMMAND_WRONG;
}

int command_main(int argc, char **argv, char *const *environment)
{
    struct arguments arguments = {.command = NULL};
    char **words = argv + 1;
    int used;

    let_signals_end_us();
    if (argc < 2) {
        fprintf(stderr, "mms-worker: a command is missing ('mms-worker help' lists them)\n");
        return COMMAND_WRONG;
    }
    if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0) {
        command_help(NULL);
        return COMMAND_DONE;
    }
    if (strcmp(words[0], "--version") == 0)
        words[0] += 2;
    arguments.command = find_words(words, &used);
    if (arguments.command == NULL)
        return is_group(words[0]) ? main_of_group(words)
                                  : wrong_command("no such command", words[0]);
    if (asks_for_help(words + used)) {
        command_help(arguments.command);
        return COMMAND_DONE;
    }
    if (!take_words(&arguments, words + used))
        return COMMAND_WRONG;
    return run(&arguments, environment);
}
