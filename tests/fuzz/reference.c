/*
 * References to secrets: what is one is what regular expressions say, and it leads only to what an
 * operator has allowed.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/fuzz/fuzz.h"
#include "worker/secret.h"

#define WHY     640
#define INSIDE  "inside-0123456789"
#define OUTSIDE "outside-0123456789"
#define OWN     "own-0123456789"
#define VALUE   "value-0123456789"
#define KEY     "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static char root[] = "/tmp/fuzz-reference.XXXXXX"; /* '@' in an input */

/* ---- a place with secrets ---- */

static void write_file(const char *name, const char *text)
{
    char *path = mem_printf("%s/%s", root, name);
    FILE *file = fopen(path, "w");
    bool good;

    must(file != NULL);
    good = fputs(text, file) >= 0;
    good = fclose(file) == 0 && good;
    must(good);
    must(chmod(path, 0600) == 0);
    free(path);
}

static void make_directory(const char *name)
{
    char *path = mem_printf("%s/%s", root, name);

    must(mkdir(path, 0700) == 0);
    free(path);
}

static void make_link(const char *name, const char *to)
{
    char *path = mem_printf("%s/%s", root, name);

    must(symlink(to, path) == 0);
    free(path);
}

static const char *const files[][2] = {
    {"in/secret", INSIDE "\n"}, {"in/deep/secret", INSIDE}, {"in/...", INSIDE},
    {"in/blank", "a b\n"},      {"in/empty", ""},           {"out/secret", OUTSIDE},
    {"inner/secret", OUTSIDE},  {"in/key", KEY "\n"},       {"in/reference", "env:FUZZ_VALUE"},
};
static const char *const links[][2] = {
    {"in/link", "deep/secret"}, {"in/leads-out", "../out/secret"},
    {"in/away", "../out"},      {"in/loop", "loop"},
    {"linked", "in"},
};
static const char *const directories[] = {"in", "in/deep", "out", "inner"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void remove_all(void)
{
    const char *const *lists[] = {*files, *links};
    const size_t counts[] = {COUNT(files), COUNT(links)};

    must(chdir(root) == 0);
    for (size_t i = 0; i < COUNT(lists); i++) {
        for (size_t j = 0; j < counts[i]; j++)
            unlink(lists[i][2 * j]);
    }
    for (size_t i = COUNT(directories); i > 0; i--)
        rmdir(directories[i - 1]);
    rmdir("in");
    must(chdir("/") == 0);
    rmdir(root);
}

static void open_once(void)
{
    static bool opened;

    if (opened)
        return;
    opened = true;
    must(mkdtemp(root) != NULL);
    for (size_t i = 0; i < COUNT(directories); i++)
        make_directory(directories[i]);
    for (size_t i = 0; i < COUNT(files); i++)
        write_file(files[i][0], files[i][1]);
    for (size_t i = 0; i < COUNT(links); i++)
        make_link(links[i][0], links[i][1]);
    must(setenv("FUZZ_VALUE", VALUE, 1) == 0 && setenv("FUZZ_BLANK", "a b", 1) == 0);
    must(setenv("MMS_OWN", OWN, 1) == 0 && setenv("PGPASSWORD", OWN, 1) == 0);
    must(setenv("pgpassword", OWN, 1) == 0 && setenv("FUZZ_EMPTY", "", 1) == 0);
    must(atexit(remove_all) == 0);
}

/* With the place for each '@'. */
static char *placed(const char *text)
{
    size_t length = strlen(text), count = 0;
    char *out = mem_zalloc(length * sizeof root + 1);

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '@')
            memcpy(out + count, root, strlen(root));
        else
            out[count] = text[i];
        count += text[i] == '@' ? strlen(root) : 1;
    }
    return out;
}

/* ---- what is a reference ---- */

/* One line without a blank; control characters are C1's too. */
static bool is_word(const char *text, size_t max)
{
    if (text[0] == '\0' || strlen(text) > max || !fuzz_is_line(text, max + 1) ||
        strchr(text, ' ') != NULL)
        return false;
    for (const char *c = strstr(text, "\xc2"); c != NULL; c = strstr(c + 1, "\xc2")) {
        if ((unsigned char)c[1] < 0xa0)
            return false;
    }
    return true;
}

/* Below the root, and no step of it is empty, here or up. */
static bool is_path(const char *path)
{
    return is_word(path, 255) && fuzz_matches("^(/[^/]+)+$", path) &&
           !fuzz_matches("/\\.\\.?(/|$)", path);
}

static enum secret_form form_of(const char *text)
{
    if (strncmp(text, "env:", 4) == 0)
        return strlen(text) <= 255 && fuzz_matches("^env:[A-Z_][A-Z0-9_]*$", text) &&
                       !fuzz_matches("^env:(MMS_|PG)", text)
                   ? SECRET_ENV
                   : SECRET_INVALID;
    if (strncmp(text, "file:", 5) == 0)
        return strlen(text) <= 255 && is_path(text + 5) ? SECRET_FILE : SECRET_INVALID;
    if (strncmp(text, "sealed:", 7) == 0)
        return seal_is_sealed(text) ? SECRET_SEALED : SECRET_INVALID;
    return is_word(text, SECRET_MAX) ? SECRET_PLAIN : SECRET_INVALID;
}

static enum secret_form check_form(const char *text)
{
    const char *expected = NULL;
    enum secret_form form = secret_form(text, &expected);

    must(form == form_of(text));
    must(secret_is_reference(text) == (form > SECRET_PLAIN));
    must((expected != NULL) ==
         (form == SECRET_INVALID && fuzz_matches("^(env|file|sealed):", text)));
    must(expected == NULL || fuzz_is_line(expected, WHY));
    must(form != SECRET_SEALED ||
         fuzz_matches("^sealed:v1:[0-9a-f]{8}:[A-Za-z0-9_-]{55,392}$", text));
    return form;
}

/* ---- where it leads ---- */

/* Whether both as they are written and as they are the file is below the directory. */
static bool is_below(const char *path, const char *directory)
{
    char real[PATH_MAX], real_directory[PATH_MAX];
    size_t length = strlen(directory);

    if (strncmp(path, directory, length) != 0 || path[length] != '/' ||
        realpath(path, real) == NULL || realpath(directory, real_directory) == NULL)
        return false;
    length = strlen(real_directory);
    return strncmp(real, real_directory, length) == 0 && real[length] == '/';
}

/* Below one of a comma list's. */
static bool is_allowed(const char *path, const char *list)
{
    char *copy = mem_strdup(list), *rest = copy, *directory;
    bool allowed = false;

    while ((directory = strsep(&rest, ",")) != NULL) {
        directory += strspn(directory, " ");
        for (size_t i = strlen(directory); i > 1 && strchr(" /", directory[i - 1]) != NULL; i--) {
            directory[i - 1] = '\0';
        }
        allowed = allowed || (directory[0] != '\0' && is_below(path, directory));
    }
    free(copy);
    return allowed;
}

static void check_revealed(enum secret_form form, const char *text, const char *list,
                           const char *secret, bool has_keys)
{
    must(form != SECRET_INVALID);
    must(is_word(secret, SECRET_MAX) && form_of(secret) == SECRET_PLAIN);
    if (form == SECRET_PLAIN)
        must(strcmp(secret, text) == 0);
    else
        must(strcmp(secret, OWN) != 0 && (!has_keys || strcmp(secret, KEY) != 0));
    if (form == SECRET_ENV)
        must(strcmp(secret, getenv(text + 4)) == 0);
    if (form == SECRET_FILE)
        must(is_allowed(text + 5, list));
}

/* What must not be said though it can't be had. */
static void check_why(const char *text, const char *why)
{
    must(fuzz_is_line(why, WHY));
    must(strstr(why, "-0123456789") == NULL || strstr(text, "-0123456789") != NULL);
    must(strstr(why, KEY) == NULL || strstr(text, KEY) != NULL);
}

static void check_reveal(enum secret_form form, const char *text, const char *list,
                         const struct secrets *secrets)
{
    char why[WHY] = "", *secret = secret_reveal(secrets, text, why, sizeof why);

    if (secret != NULL) {
        check_revealed(form, text, list, secret, secrets_keys(secrets) > 0);
    } else {
        must(form != SECRET_PLAIN);
        must(!fuzz_is_utf8(text, strlen(text)) || fuzz_is_line(why, sizeof why));
        check_why(text, why);
        /* The file that is there and may be had is. */
        must(form != SECRET_FILE ||
             !fuzz_matches("/in/(secret|link|deep/secret|\\.\\.\\.)$", text) ||
             !is_allowed(text + 5, list));
    }
    secret_free(secret);
}

/* Devices and what else this machine has are nothing to play with: only our place is looked at. */
static bool is_ours(const char *list)
{
    char *copy = mem_strdup(list), *rest = copy, *path;
    bool ours = strstr(list, "..") == NULL;

    while ((path = strsep(&rest, ",")) != NULL) {
        path += strspn(path, " ");
        ours = ours && (path[0] != '/' || strncmp(path, root, strlen(root)) == 0);
    }
    free(copy);
    return ours;
}

static void check_settings(enum secret_form form, const char *text, const char *list,
                           const char *keys)
{
    char error[WHY] = "";
    struct secrets *secrets;

    if (!is_ours(list) || !is_ours(keys))
        return;
    secrets = secrets_open(list, keys, error, sizeof error);
    if (secrets == NULL) {
        must(strncmp(error, "MMS_SECRET_", strlen("MMS_SECRET_")) == 0);
        must(!fuzz_is_utf8(list, strlen(list)) || !fuzz_is_utf8(keys, strlen(keys)) ||
             error[0] != '\0');
        return;
    }
    must(secrets_keys(secrets) >= 0 && secrets_keys(secrets) <= SECRET_KEYS_MAX);
    must(secrets_warning(secrets)[0] == '\0' || fuzz_is_line(secrets_warning(secrets), 400));
    check_reveal(form, text, list, secrets);
    secrets_close(secrets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text, *list, *keys;
    struct fuzz_input input;
    enum secret_form form;

    open_once();
    fuzz_split(data, size, &input);
    text = placed(fuzz_text(&input, 0));
    list = placed(fuzz_text(&input, 1));
    keys = placed(fuzz_text(&input, 2));
    /* What isn't UTF-8 is no JSON, and never comes here. */
    if (fuzz_is_utf8(text, strlen(text))) {
        form = check_form(text);
        check_reveal(form, text, "", NULL);
        check_settings(form, text, list, keys);
    }
    free(text);
    free(list);
    free(keys);
    fuzz_release(&input);
    return 0;
}
