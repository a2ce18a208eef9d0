/* `secret key`, `secret seal`, `secret rotate`: secrets in destinations' rows, sealed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "sql.h"
#include "worker/commands/command.h"
#include "worker/commands/commands.h"
#include "worker/commands/db.h"
#include "worker/commands/input.h"
#include "worker/commands/table.h"
#include "worker/limits.h"
#include "worker/seal.h"
#include "worker/secret.h"
#include "worker/signature.h"

#define PAGE 500

/* ---- secret key ---- */

/* A key that is there stays: who overwrites one loses what it has sealed. */
static int write_key(const struct arguments *arguments, const char *path, const char *key)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool written;

    if (fd < 0)
        return command_failed(arguments, "%s: %m", path);
    written = dprintf(fd, "%s\n", key) > 0 && fsync(fd) == 0;
    if (close(fd) == 0 && written)
        return COMMAND_DONE;
    command_failed(arguments, "%s: %m", path);
    unlink(path);
    return COMMAND_FAILED;
}

static int run_key(const struct arguments *arguments)
{
    char key[SEAL_KEY_TEXT];
    int status = COMMAND_DONE;

    seal_init();
    seal_key_make(key);
    if (arguments->operand_count > 0)
        status = write_key(arguments, arguments->operands[0], key);
    else
        puts(key);
    mem_wipe(key, sizeof key);
    return status;
}

/* ---- secret seal ---- */

/* The settings' secrets, if there is a key to seal with. */
static struct secrets *open_sealing(const struct arguments *arguments)
{
    struct secrets *secrets = command_secrets(arguments);

    if (secrets == NULL || secrets_keys(secrets) > 0)
        return secrets;
    command_wrong(arguments, "MMS_SECRET_KEY_FILES: not set, expected the file of a key "
                             "('mms-worker secret key FILE' makes one)");
    secrets_close(secrets);
    return NULL;
}

/* What was read, up to its line feed. */
static int seal_and_print(const struct arguments *arguments, const struct secrets *secrets,
                          char *text, size_t length)
{
    char *sealed;

    if (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    if (strlen(text) != length || secret_form(text, NULL) != SECRET_PLAIN)
        return command_failed(arguments, "stdin: not valid, expected a secret: 1 to 255 characters "
                                         "in one line, without blanks, and no reference to one");
    sealed = secrets_seal(secrets, 0, text);
    puts(sealed);
    free(sealed);
    return COMMAND_DONE;
}

static int run_seal(const struct arguments *arguments)
{
    struct secrets *secrets = open_sealing(arguments);
    size_t length;
    char *text;
    int status = COMMAND_FAILED;

    if (secrets == NULL)
        return COMMAND_WRONG;
    text = input_read(arguments, "-", &length);
    if (text != NULL) {
        status = seal_and_print(arguments, secrets, text, length);
        mem_wipe(text, length);
    }
    free(text);
    secrets_close(secrets);
    return status;
}

/* ---- secret rotate ---- */

struct rotation {
    const struct arguments *arguments;
    const struct secrets *secrets;
    struct db *db;
    bool plain; /* those that aren't sealed at all too */
    bool dry_run;
    char prefix[SEAL_HEADER_SIZE]; /* of what needs nothing */
    int resealed, sealed, changed, failed, large;
};

static void complain(const struct rotation *rotation, const char *id, const char *field,
                     const char *why)
{
    command_failed(rotation->arguments, "%s: config.auth.%s: %s", id, field, why);
}

/* False if the database has no more to say. */
static bool replace(struct rotation *rotation, const char *id, const char *field, const char *old,
                    const char *new, int *count)
{
    char sha256[SIGNATURE_SHA256_SIZE], limit[16];
    PGresult *rows;

    if (rotation->dry_run) {
        ++*count;
        return true;
    }
    signature_sha256(old, strlen(old), sha256);
    snprintf(limit, sizeof limit, "%d", LIMIT_CONFIG_BYTES);
    rows = db_query(rotation->db, sql_secret_replace, DB_PARAMETERS(id, field, sha256, new, limit));
    if (rows == NULL)
        return false;
    if (PQntuples(rows) == 0) {
        rotation->changed++;
    } else if (db_text(rows, 0, "fits")[0] == 't') {
        ++*count;
    } else {
        rotation->large++;
        complain(
            rotation, id, field,
            "left as it is: sealed it would make the settings larger than 65536 bytes; shorten "
            "them (body_template), then run it again");
    }
    PQclear(rows);
    return true;
}

static bool rotate_text(struct rotation *rotation, const char *id, const char *field,
                        const char *text)
{
    enum secret_form form = secret_form(text, NULL);
    char why[512], *secret, *sealed;
    bool going;

    if (form == SECRET_ENV || form == SECRET_FILE || (form == SECRET_PLAIN && !rotation->plain) ||
        strncmp(text, rotation->prefix, strlen(rotation->prefix)) == 0)
        return true;
    secret = secret_reveal(rotation->secrets, text, why, sizeof why);
    if (secret == NULL) {
        complain(rotation, id, field, why);
        rotation->failed++;
        return true;
    }
    sealed = secrets_seal(rotation->secrets, 0, secret);
    going = replace(rotation, id, field, text, sealed,
                    form == SECRET_PLAIN ? &rotation->sealed : &rotation->resealed);
    free(sealed);
    secret_free(secret);
    return going;
}

/* The page behind the destination `last`, which becomes that of the page. False at the end. */
static bool rotate_page(struct rotation *rotation, char **last, bool *ret_going)
{
    static const char *const fields[] = {"auth_token", "api_key_secret"};
    char limit[16];
    PGresult *rows;
    int count;

    snprintf(limit, sizeof limit, "%d", PAGE);
    rows =
        db_query(rotation->db, sql_secret_find,
                 DB_PARAMETERS(*last, rotation->prefix, rotation->plain ? "true" : "false", limit));
    *ret_going = rows != NULL;
    count = rows != NULL ? PQntuples(rows) : 0;
    for (int row = 0; row < count; row++) {
        for (size_t i = 0; i < sizeof fields / sizeof fields[0] && *ret_going; i++) {
            const char *text = db_text(rows, row, fields[i]);

            if (text != NULL)
                *ret_going = rotate_text(rotation, PQgetvalue(rows, row, 0), fields[i], text);
        }
    }
    if (count > 0) {
        free(*last);
        *last = mem_strdup(PQgetvalue(rows, count - 1, 0));
    }
    PQclear(rows);
    return *ret_going && count == PAGE;
}

static void print_count(int count, const char *what)
{
    if (count > 0)
        printf(", %d %s", count, what);
}

/* What may be refused to who may look: found out in a dry run too. */
static const struct db_need needs[] = {
    {sql_secret_replace, 5},
    {.sql = NULL},
};

static int rotate(struct rotation *rotation)
{
    char *last = mem_strdup("");
    bool going;

    while (rotate_page(rotation, &last, &going))
        ;
    free(last);
    printf("%s%d resealed, %d sealed", rotation->dry_run ? "would be: " : "", rotation->resealed,
           rotation->sealed);
    print_count(rotation->changed, "changed by somebody meanwhile (run it again)");
    print_count(rotation->failed, "can't be opened");
    print_count(rotation->large, "too large when sealed");
    puts(going ? "" : "; then the database failed");
    return going && rotation->failed + rotation->changed + rotation->large == 0 ? COMMAND_DONE
                                                                                : COMMAND_FAILED;
}

static int run_rotate(const struct arguments *arguments)
{
    struct rotation rotation = {.arguments = arguments,
                                .plain = argument(arguments, "plain") != NULL,
                                .dry_run = argument(arguments, "dry-run") != NULL};
    struct secrets *secrets;
    int status = COMMAND_WRONG;

    rotation.db = db_open(arguments, rotation.dry_run ? DB_READ : DB_WRITE);
    if (rotation.db == NULL)
        return COMMAND_FAILED;
    secrets = open_sealing(arguments);
    if (secrets != NULL) {
        rotation.secrets = secrets;
        secrets_prefix(secrets, rotation.prefix);
        status = db_may(rotation.db, needs) ? rotate(&rotation) : COMMAND_FAILED;
    }
    db_close(rotation.db);
    secrets_close(secrets);
    return status;
}

/* ---- the commands ---- */

const struct command command_secret_key = {
    "secret key",
    "[FILE]",
    "make a key that seals secrets",
    "Makes a new random key, into a new FILE that only its owner may read, or on stdout.\n"
    "MMS_SECRET_KEY_FILES names such files: the first seals, all open. Who loses a key\n"
    "loses what it has sealed.\n",
    NULL,
    COMMAND_NEEDS_NOTHING,
    run_key,
    false,
    NULL,
};

const struct command command_secret_seal = {
    "secret seal",
    NULL,
    "seal a secret for a destination's row",
    "Reads a secret (an auth token, an API key's secret) from stdin and prints it sealed\n"
    "with the first of MMS_SECRET_KEY_FILES. What it prints is no secret and goes in its\n"
    "place, as auth.auth_token or auth.api_key_secret:\n"
    "\n"
    "  mms-worker secret seal <token.txt\n"
    "  mms-worker destination patch ID '{\"config\": {\"auth\": {\"auth_token\": \"sealed:…\"}}}'\n"
    "\n"
    "The same secret and key always make the same text.\n",
    NULL,
    COMMAND_NEEDS_SETTINGS,
    run_seal,
    false,
    NULL,
};

static const struct command_option options[] = {
    {"plain", NULL, "seals secrets that stand in rows as they are, too"},
    {"dry-run", NULL, "only counts"},
    {NULL, NULL, NULL},
};

const struct command command_secret_rotate = {
    "secret rotate",
    NULL,
    "seal destinations' secrets with the first key",
    "Seals with the first of MMS_SECRET_KEY_FILES what destinations' rows have sealed with\n"
    "another. Workers must have that key before, and keep the old one until it is done.\n"
    "May be run at any time, beside workers and others who change destinations, and\n"
    "again: what is done stays done. As with every change of a row, a destination that\n"
    "is parked is tried again at once. Prints how many secrets; exit status 1 if some\n"
    "are left over.\n",
    options,
    COMMAND_NEEDS_DATABASE,
    run_rotate,
    false,
    "mms_operator",
};
