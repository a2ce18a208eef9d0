/* `completion bash`: a script made of the table of commands, which thus completes what there is. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "worker/commands/command.h"
#include "worker/commands/commands.h"

/* ---- what is completed ---- */

/* The first time that the first word of a command's name appears in the table. */
static bool is_first_of_word(int place, size_t length)
{
    const char *name = commands[place]->name;

    for (int i = 0; i < place; i++) {
        if (strncmp(commands[i]->name, name, length) == 0 &&
            (commands[i]->name[length] == ' ' || commands[i]->name[length] == '\0'))
            return false;
    }
    return true;
}

static void print_first_words(void)
{
    printf("    '') words='");
    for (int i = 0; commands[i] != NULL; i++) {
        size_t length = strcspn(commands[i]->name, " ");

        if (is_first_of_word(i, length))
            printf("%.*s ", (int)length, commands[i]->name);
    }
    printf("--help' ;;\n");
}

/* The second words of the group that begins at `place`. */
static void print_group(int place, size_t length)
{
    const char *group = commands[place]->name;

    printf("    '%.*s') words='", (int)length, group);
    for (int i = place; commands[i] != NULL; i++) {
        if (strncmp(commands[i]->name, group, length + 1) == 0)
            printf("%s ", commands[i]->name + length + 1);
    }
    printf("--help' ;;\n");
}

/* A value that is called FILE is one; what else is written in capitals can't be known. */
static bool has_file(const char *text)
{
    return text != NULL && strstr(text, "FILE") != NULL;
}

static void print_command(const struct command *command)
{
    printf("    '%s') words='", command->name);
    for (int i = 0; command->options != NULL && command->options[i].name != NULL; i++)
        printf("--%s ", command->options[i].name);
    printf("--help'%s ;;\n", has_file(command->operands) ? "; files=yes" : "");
}

/* "active|parked" are the values themselves, "ID" and "FILE|-" are not. */
static bool is_closed_set(const char *value)
{
    return strchr(value, '|') != NULL && islower((unsigned char)value[0]);
}

static void print_values(const struct command *command)
{
    for (int i = 0; command->options != NULL && command->options[i].name != NULL; i++) {
        const struct command_option *option = &command->options[i];

        if (option->value == NULL)
            continue;
        printf("    '%s --%s') words='", command->name, option->name);
        for (const char *c = option->value; is_closed_set(option->value) && *c != '\0'; c++)
            putchar(*c == '|' ? ' ' : *c);
        printf("'; files=%s ;;\n", has_file(option->value) ? "yes" : "");
    }
}

/* ---- the script ---- */

static const char head[] =
    "# bash completion of mms-worker: source <(mms-worker completion bash)\n"
    "_mms_worker()\n"
    "{\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} last=$COMP_CWORD first=1 command='' words='' "
    "files=''\n"
    "    COMPREPLY=()\n"
    "    # bash takes '--option=value' apart.\n"
    "    [[ $word == = ]] && word='' || { [[ ${COMP_WORDS[last-1]} == = ]] && (( last-- )); }\n"
    "    (( last > 1 )) && [[ ${COMP_WORDS[1]} == help ]] && first=2\n"
    "    (( last > first )) && command=${COMP_WORDS[first]}\n"
    "    case $command in\n";

static const char middle[] = "    esac\n"
                             "    case $command in\n";

static const char behind_words[] = "    esac\n"
                                   "    (( first == 2 )) && files='' # 'help' takes names alone\n"
                                   "    case \"$command ${COMP_WORDS[last-1]}\" in\n";

static const char tail[] = "    esac\n"
                           "    if [[ $files == yes && $word != -* ]]; then\n"
                           "        compopt -o filenames 2>/dev/null\n"
                           "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
                           "    else\n"
                           "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
                           "    fi\n"
                           "}\n"
                           "complete -F _mms_worker mms-worker\n";

/* Which first words take a second one. */
static void print_groups(void)
{
    for (int i = 0; commands[i] != NULL; i++) {
        size_t length = strcspn(commands[i]->name, " ");

        if (commands[i]->name[length] == ' ' && is_first_of_word(i, length))
            printf(
                "    '%.*s') (( last > first + 1 )) && command+=\" ${COMP_WORDS[first+1]}\" ;;\n",
                (int)length, commands[i]->name);
    }
}

static int run(const struct arguments *arguments)
{
    (void)arguments;
    fputs(head, stdout);
    print_groups();
    fputs(middle, stdout);
    print_first_words();
    for (int i = 0; commands[i] != NULL; i++) {
        size_t length = strcspn(commands[i]->name, " ");

        if (commands[i]->name[length] == ' ' && is_first_of_word(i, length))
            print_group(i, length);
        print_command(commands[i]);
    }
    fputs(behind_words, stdout);
    for (int i = 0; commands[i] != NULL; i++)
        print_values(commands[i]);
    fputs(tail, stdout);
    return COMMAND_DONE;
}

const struct command command_completion_bash = {
    "completion bash",
    NULL,
    "print a script that completes commands in bash",
    "Prints a script with which bash completes commands, options and their values:\n"
    "\n"
    "  source <(mms-worker completion bash)\n",
    NULL,
    COMMAND_NEEDS_NOTHING,
    run,
    false,
    NULL,
};
