#ifndef WORKER_SECRET_H
#define WORKER_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/seal.h"

/*
 * What stands in a config's auth_token and api_key_secret: the secret itself, or where it is to be
 * had:
 *
 *     env:NAME      the worker's environment. NAME is in capitals, and neither MMS_… nor PG…, which
 *                   are the worker's own: who may write a destination may not have those sent.
 *     file:/path    a file, read at each use; only below the directories of MMS_SECRET_DIRECTORIES.
 *     sealed:…      the secret itself, as seal.h has it; opened with a key of MMS_SECRET_KEY_FILES.
 *
 * A reference isn't a secret, and may be seen.
 */

#define SECRET_MAX      255 /* of the secret itself, in bytes */
#define SECRET_TEXT_MAX 512 /* of what stands in a config */
#define SECRET_KEYS_MAX 4

enum secret_form { SECRET_INVALID, SECRET_PLAIN, SECRET_ENV, SECRET_FILE, SECRET_SEALED };

/*
 * What `text` is. If it is a reference and not valid, *ret_expected (may be NULL) says what would
 * be, in words without the text.
 */
enum secret_form secret_form(const char *text, const char **ret_expected);

/* Whether it is a valid reference. */
bool secret_is_reference(const char *text);

/* Where references lead: directories and keys, as they were when it was opened. */
struct secrets;

/*
 * `directories` and `key_files` are comma lists of absolute paths: MMS_SECRET_DIRECTORIES, whose
 * directories needn't exist, and MMS_SECRET_KEY_FILES, which are read now. NULL and one line that
 * names the setting in `error` if one is wrong.
 */
struct secrets *secrets_open(const char *directories, const char *key_files, char *error,
                             size_t error_size);
void secrets_close(struct secrets *secrets);

/* What is allowed and hardly meant, one line; "": nothing. */
const char *secrets_warning(const struct secrets *secrets);

/*
 * The secret that `text` (a valid one) stands for; owned, to be wiped. NULL if it can't be had:
 * `why` then says what is wrong and what was expected, in one line. Without `secrets` (NULL) there
 * are no directories and no keys.
 */
char *secret_reveal(const struct secrets *secrets, const char *text, char *why, size_t why_size);

/* Wipes and frees; NULL is none. */
void secret_free(char *secret);

/* How many keys there are, and the sealed text of a secret under one; 0 is the one that seals. */
int secrets_keys(const struct secrets *secrets);
char *secrets_seal(const struct secrets *secrets, int key, const char *secret);

/* How all texts begin that the first key, which seals, has made; there must be one. */
void secrets_prefix(const struct secrets *secrets, char ret_prefix[SEAL_HEADER_SIZE]);

#endif
