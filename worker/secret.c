#include "worker/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"
#include "common/mem.h"
#include "common/utf8.h"

#define DIRECTORIES_MAX 8
#define REFERENCE_MAX   255 /* of env: and file: */
#define FILE_MAX_BYTES  1024

_Static_assert(SECRET_MAX == SEAL_SECRET_MAX && SEAL_TEXT_MAX <= SECRET_TEXT_MAX, "it fits");

struct key_file {
    dev_t device;
    ino_t inode;
};

struct secrets {
    char *directories[DIRECTORIES_MAX]; /* without a slash at the end */
    int directory_count;
    struct seal_key *keys; /* SECRET_KEYS_MAX, in memory that is neither swapped nor dumped */
    struct key_file key_files[SECRET_KEYS_MAX];
    int key_count;
    char warning[400];
};

/* ---- what stands in a config ---- */

static bool is_plain(const char *text)
{
    size_t length = strlen(text);

    return length >= 1 && length <= SECRET_MAX && strpbrk(text, " \t") == NULL &&
           !utf8_has_control(text);
}

/*
 * A name in small letters is refused because a token may have been written there by mistake, and
 * names are shown.
 */
static bool is_env(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");

    return length > 0 && name[length] == '\0' && strchr("0123456789", name[0]) == NULL &&
           strncmp(name, "MMS_", 4) != 0 && strncmp(name, "PG", 2) != 0;
}

/* Absolute, and written in the one way: no "//", no "/./", no "/../". */
static bool is_path(const char *path)
{
    if (path[0] != '/' || !is_plain(path))
        return false;
    while (*path == '/') {
        size_t length = strcspn(++path, "/");

        if (length == 0 || (length <= 2 && strspn(path, ".") >= length))
            return false;
        path += length;
    }
    return true;
}

static const struct form {
    const char *prefix;
    enum secret_form form;
    size_t max; /* of the whole text */
    bool (*is_valid)(const char *text);
    bool whole; /* is_valid gets the prefix too */
    const char *expected;
} forms[] = {
    {"env:", SECRET_ENV, REFERENCE_MAX, is_env, false,
     "env: and the name of an environment variable, in capitals, that doesn't begin with MMS_ or "
     "PG"},
    {"file:", SECRET_FILE, REFERENCE_MAX, is_path, false,
     "file: and an absolute path without blanks, '//', '.' and '..'"},
    {SEAL_PREFIX, SECRET_SEALED, SECRET_TEXT_MAX, seal_is_sealed, true,
     "what 'mms-worker secret seal' prints"},
    {"", SECRET_PLAIN, SECRET_MAX, is_plain, true, NULL},
};

enum secret_form secret_form(const char *text, const char **ret_expected)
{
    const struct form *form = forms;
    size_t prefix;

    while (strncmp(text, form->prefix, strlen(form->prefix)) != 0)
        form++; /* the last takes all */
    prefix = form->whole ? 0 : strlen(form->prefix);
    if (strlen(text) <= form->max && form->is_valid(text + prefix))
        return form->form;
    if (ret_expected != NULL && form->expected != NULL)
        *ret_expected = form->expected;
    return SECRET_INVALID;
}

bool secret_is_reference(const char *text)
{
    return secret_form(text, NULL) > SECRET_PLAIN;
}

/* ---- files ---- */

static const char *system_fault(void)
{
    const char *text = strerrordesc_np(errno);

    return text != NULL ? text : "can't be read";
}

#define FILE_ROOM (FILE_MAX_BYTES + 1) /* one more, to see what is too long */

static const char *read_open_file(int fd, char bytes[FILE_ROOM], size_t *ret_length,
                                  struct stat *ret_stat)
{
    ssize_t length = -1;

    if (fstat(fd, ret_stat) != 0)
        return system_fault();
    if (!S_ISREG(ret_stat->st_mode))
        return "not a regular file";
    length = read(fd, bytes, FILE_ROOM);
    if (length < 0)
        return system_fault();
    if (length > FILE_MAX_BYTES)
        return "longer than 1 KiB";
    *ret_length = (size_t)length - (length > 0 && bytes[length - 1] == '\n' ? 1 : 0);
    return NULL;
}

/*
 * Reads a small regular file without waiting for anybody; one line feed at its end is not part of
 * it. NULL, or what is wrong. The caller wipes `bytes` in either case.
 */
static const char *read_file(const char *path, char bytes[FILE_ROOM], size_t *ret_length,
                             struct stat *ret_stat)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    const char *fault;

    bytes[0] = '\0';
    *ret_length = 0;
    *ret_stat = (struct stat){.st_mode = 0};
    if (fd < 0)
        return system_fault();
    fault = read_open_file(fd, bytes, ret_length, ret_stat);
    close(fd);
    return fault;
}

/* ---- opening ---- */

static bool add_directory(struct secrets *secrets, char *path, char *error, size_t size)
{
    size_t length = strlen(path);

    if (length > 1 && path[length - 1] == '/')
        path[length - 1] = '\0';
    if (is_path(path) && secrets->directory_count < DIRECTORIES_MAX) {
        secrets->directories[secrets->directory_count++] = path;
        return true;
    }
    snprintf(error, size,
             "MMS_SECRET_DIRECTORIES: '%.200s' is not valid, expected at most %d absolute paths of "
             "directories (not /), comma-separated",
             path, DIRECTORIES_MAX);
    free(path);
    return false;
}

/* Reads one key. Who else may write to its file has a say in what is believed. */
static const char *read_key(struct secrets *secrets, const char *path, char bytes[FILE_ROOM],
                            struct stat *ret_stat)
{
    const char *fault;
    size_t length;

    if (secrets->key_count == SECRET_KEYS_MAX)
        return "is one too many, expected at most 4";
    fault = read_file(path, bytes, &length, ret_stat);
    if (fault != NULL)
        return fault;
    if ((ret_stat->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return "may be written by others, expected mode 0400 or 0600";
    if (!seal_key_parse(bytes, length, &secrets->keys[secrets->key_count]))
        return "is no key, expected what 'mms-worker secret key' makes";
    return NULL;
}

/* An absolute path, and not a key that stands there by mistake: paths are shown. */
static bool is_key_path(const char *path)
{
    struct seal_key key;
    bool is_key = seal_key_parse(path, strlen(path), &key);

    mem_wipe(&key, sizeof key);
    return path[0] == '/' && !is_key;
}

static bool add_key(struct secrets *secrets, const char *path, char *error, size_t size)
{
    char bytes[FILE_ROOM];
    struct stat file;
    const char *fault;

    if (!is_key_path(path)) {
        snprintf(error, size,
                 "MMS_SECRET_KEY_FILES: not valid, expected absolute paths of files with keys, "
                 "comma-separated");
        return false;
    }
    fault = read_key(secrets, path, bytes, &file);
    mem_wipe(bytes, sizeof bytes);
    if (fault != NULL) {
        snprintf(error, size, "MMS_SECRET_KEY_FILES: '%.200s': %s", path, fault);
        return false;
    }
    if ((file.st_mode & S_IROTH) != 0)
        snprintf(secrets->warning, sizeof secrets->warning,
                 "MMS_SECRET_KEY_FILES: everybody on this machine may read '%.200s', expected mode "
                 "0400",
                 path);
    secrets->key_files[secrets->key_count++] = (struct key_file){file.st_dev, file.st_ino};
    return true;
}

static bool open_all(struct secrets *secrets, const char *directories, const char *key_files,
                     char *error, size_t size)
{
    bool good = true;
    char *path;

    while (good && (path = config_next(&directories)) != NULL)
        good = add_directory(secrets, path, error, size);
    while (good && (path = config_next(&key_files)) != NULL) {
        good = add_key(secrets, path, error, size);
        free(path);
    }
    return good;
}

struct secrets *secrets_open(const char *directories, const char *key_files, char *error,
                             size_t error_size)
{
    struct secrets *secrets = mem_zalloc(sizeof *secrets);

    seal_init();
    secrets->keys = sodium_allocarray(SECRET_KEYS_MAX, sizeof *secrets->keys);
    if (secrets->keys == NULL)
        mem_exhausted();
    if (open_all(secrets, directories, key_files, error, error_size))
        return secrets;
    secrets_close(secrets);
    return NULL;
}

void secrets_close(struct secrets *secrets)
{
    if (secrets == NULL)
        return;
    for (int i = 0; i < secrets->directory_count; i++)
        free(secrets->directories[i]);
    sodium_free(secrets->keys); /* wipes */
    free(secrets);
}

const char *secrets_warning(const struct secrets *secrets)
{
    return secrets->warning;
}

/* ---- revealing ---- */

/* Whether `path` is below `directory`, as they are written. */
static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && path[length] == '/';
}

static bool is_key_file(const struct secrets *secrets, const struct stat *file)
{
    for (int i = 0; i < secrets->key_count; i++) {
        if (secrets->key_files[i].device == file->st_dev &&
            secrets->key_files[i].inode == file->st_ino)
            return true;
    }
    return false;
}

/*
 * Where the path leads, if that is below a directory in which it may look: links inside are how
 * Kubernetes replaces all files at once, links out of it are somebody else's files. What isn't
 * below one as it is written is refused before anything is looked for, so that nobody learns from
 * the answer what there is.
 */
static const char *resolve(const struct secrets *secrets, const char *path, char real[PATH_MAX])
{
    const char *fault = "not below a directory of MMS_SECRET_DIRECTORIES";
    char directory[PATH_MAX];

    for (int i = 0; secrets != NULL && i < secrets->directory_count; i++) {
        if (!is_below(path, secrets->directories[i]))
            continue;
        if (realpath(path, real) == NULL)
            fault = system_fault();
        else if (realpath(secrets->directories[i], directory) != NULL && is_below(real, directory))
            return NULL;
        else
            fault = "a link that leads out of MMS_SECRET_DIRECTORIES";
    }
    return fault;
}

static const char *read_secret(const struct secrets *secrets, const char *path,
                               char bytes[FILE_ROOM], size_t *ret_length)
{
    struct stat file;
    const char *fault = read_file(path, bytes, ret_length, &file);

    if (fault != NULL)
        return fault;
    if (is_key_file(secrets, &file))
        return "one of MMS_SECRET_KEY_FILES";
    return memchr(bytes, '\0', *ret_length) != NULL ? "not a text" : NULL;
}

static char *reveal_file(const struct secrets *secrets, const char *text, char *why, size_t size)
{
    char real[PATH_MAX], bytes[FILE_ROOM] = "";
    const char *fault = resolve(secrets, text + strlen("file:"), real);
    char *secret = NULL;
    size_t length = 0;

    if (fault == NULL)
        fault = read_secret(secrets, real, bytes, &length);
    if (fault == NULL)
        secret = mem_copy(bytes, length);
    else
        snprintf(why, size, "%s: %s, expected a file with the secret", text, fault);
    mem_wipe(bytes, sizeof bytes);
    return secret;
}

static char *reveal_env(const char *text, char *why, size_t size)
{
    const char *value = getenv(text + strlen("env:"));

    if (value != NULL && value[0] != '\0')
        return mem_strdup(value);
    snprintf(why, size, "%s: not set, expected it in the environment of whoever uses it", text);
    return NULL;
}

static char *reveal_sealed(const struct secrets *secrets, const char *text, char *why, size_t size)
{
    char id[SEAL_ID_DIGITS + 1];
    char *secret;

    seal_key_id(text, id);
    for (int i = 0; i < secrets_keys(secrets); i++) {
        if (strcmp(secrets->keys[i].id, id) != 0)
            continue;
        secret = seal_open(&secrets->keys[i], text);
        if (secret == NULL)
            snprintf(why, size,
                     "sealed with key %s, but not what that key made of a secret, expected what "
                     "'mms-worker secret seal' printed",
                     id);
        return secret;
    }
    snprintf(why, size, "sealed with key %s, expected that key among MMS_SECRET_KEY_FILES", id);
    return NULL;
}

char *secret_reveal(const struct secrets *secrets, const char *text, char *why, size_t why_size)
{
    char *secret = NULL;

    switch (secret_form(text, NULL)) {
    case SECRET_INVALID:
        snprintf(why, why_size, "not valid, expected a secret or a reference");
        return NULL;
    case SECRET_PLAIN:
        return mem_strdup(text);
    case SECRET_ENV:
        secret = reveal_env(text, why, why_size);
        break;
    case SECRET_FILE:
        secret = reveal_file(secrets, text, why, why_size);
        break;
    case SECRET_SEALED:
        secret = reveal_sealed(secrets, text, why, why_size);
        break;
    }
    if (secret == NULL || secret_form(secret, NULL) == SECRET_PLAIN)
        return secret;
    secret_free(secret);
    snprintf(
        why, why_size, "%.*s: what is there is not valid, expected a secret without blanks",
        (int)(secret_form(text, NULL) == SECRET_SEALED ? strlen(SEAL_PREFIX) - 1 : strlen(text)),
        text);
    return NULL;
}

void secret_free(char *secret)
{
    if (secret != NULL)
        mem_wipe(secret, strlen(secret));
    free(secret);
}

/* ---- keys ---- */

int secrets_keys(const struct secrets *secrets)
{
    return secrets != NULL ? secrets->key_count : 0;
}

char *secrets_seal(const struct secrets *secrets, int key, const char *secret)
{
    return seal_make(&secrets->keys[key], secret);
}

void secrets_prefix(const struct secrets *secrets, char ret_prefix[SEAL_HEADER_SIZE])
{
    snprintf(ret_prefix, SEAL_HEADER_SIZE, "sealed:v1:%s:", secrets->keys[0].id);
}
