#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "sql.h"
#include "worker/commands/command.h"
#include "worker/commands/commands.h"
#include "worker/commands/db.h"

#define BATCH          "1000" /* deliveries that go in one transaction */
#define REJECTED_BATCH "100"  /* rejected events: each may have a megabyte */

/*
 * The time that is looked through at once grows and shrinks with what is found in it. What ended
 * within the shortest is taken whole, however much that is.
 */
#define WINDOW_MIN CLOCK_SECOND
/* Less is a slip of the pen rather than a wish. */
#define OLDER_THAN_MIN (CLOCK_SECOND * 3600 * 48)
#define WINDOW_MAX     (INT64_C(86400) * 30 * CLOCK_SECOND)
#define FOUND_FEW      5000
#define FOUND_MANY     20000
#define FOUND_LIMIT    "20001" /* one more */

#define PROGRESS_PAUSE (CLOCK_SECOND / 5)

/* What is counted: what went (or would), and what is as old and stays, with the reason. */
enum count {
    DELIVERIES,
    ATTEMPTS,
    STATUSES,
    REJECTED,
    PERSON,
    NOT_FINISHED,
    NOT_PUBLISHED,
    FOLLOWED,
    IN_HAND,
    COUNTS
};

static const struct {
    const char *name; /* in JSON, and in the statements' rows */
    const char *text;
} counted[COUNTS] = {
    [DELIVERIES] = {"deliveries", "deliveries"},
    [ATTEMPTS] = {"attempts", "attempts"},
    [STATUSES] = {"message_statuses", "message statuses"},
    [REJECTED] = {"rejected_events", "rejected events"},
    [PERSON] = {"left_to_a_person", "unknown and left to a person (OPERATING.md says what to do)"},
    [NOT_FINISHED] = {"not_finished", "not finished"},
    [NOT_PUBLISHED] = {"not_published", "not published yet"},
    [FOLLOWED] = {"followed", "with a message whose status is still followed"},
    [IN_HAND] = {"in_hand", "in the hand of a worker (or of another prune) at that moment"},
};

struct prune {
    const struct arguments *arguments;
    struct db *db;
    bool dry;
    int64_t pause;   /* between batches; 0: as long as the batch took */
    char cutoff[64]; /* the database's words for it */
    int64_t end;     /* the same in microseconds since 1970 */
    int64_t at;      /* what ended before this has been looked at */
    int64_t window;  /* how far to look beyond it at once */
    int64_t counts[COUNTS];
    int64_t begun;
    int64_t told; /* when progress was last shown */
};

/* Set by SIGINT and SIGTERM: the batch in hand is finished, and that is all. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* A second signal ends the program at once: what it was about is undone by PostgreSQL. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- rows ---- */

static int64_t number_at(const PGresult *rows, const char *name)
{
    const char *text = db_text(rows, 0, name);

    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

static void add_counts(int64_t *counts, const PGresult *rows, enum count first, enum count last)
{
    for (enum count i = first; i <= last; i++)
        counts[i] += number_at(rows, counted[i].name);
}

/* ---- progress ---- */

static void show_progress(struct prune *prune)
{
    char until[CLOCK_TEXT_SIZE];

    if (!isatty(STDERR_FILENO) || clock_now() - prune->told < PROGRESS_PAUSE)
        return;
    prune->told = clock_now();
    fprintf(stderr,
            "\r%s: at %.10s, %" PRId64 " deliveries and %" PRId64 " rejected events so far\033[K",
            prune->dry ? "counting" : "deleting", clock_format(prune->at, until),
            prune->counts[DELIVERIES], prune->counts[REJECTED]);
}

static void end_progress(const struct prune *prune)
{
    if (prune->told != 0)
        fputs("\r\033[K", stderr);
}

/* Others have the server for as long as a batch had it. */
static void pause_after(const struct prune *prune, int64_t batch_begun)
{
    int64_t pause = prune->pause > 0 ? prune->pause : clock_now() - batch_begun;
    struct timespec rest = {pause / CLOCK_SECOND, (pause % CLOCK_SECOND) * 1000};

    while (!interrupted && nanosleep(&rest, &rest) != 0) {
    }
}

/* ---- a batch of deliveries ---- */

/* Judges what stands at these places; NULL after a complaint. */
static PGresult *judge(struct prune *prune, const char *places, int64_t *counts)
{
    PGresult *judged = db_query(prune->db, sql_prune_judge, DB_PARAMETERS(places, prune->cutoff));

    if (judged != NULL)
        add_counts(counts, judged, PERSON, FOLLOWED);
    return judged;
}

static bool count_batch(struct prune *prune, const char *places, int64_t *counts)
{
    PGresult *judged = judge(prune, places, counts);

    if (judged == NULL)
        return false;
    add_counts(counts, judged, DELIVERIES, STATUSES);
    PQclear(judged);
    return true;
}

/* Deletes deliveries that may go, with all that belongs to them. */
static bool delete_whole(struct prune *prune, const char *places, int64_t *counts)
{
    PGresult *locked = db_query(prune->db, sql_prune_lock_more, DB_PARAMETERS(places));
    PGresult *deleted = NULL;

    if (locked != NULL)
        deleted =
            db_query(prune->db, sql_prune_delete,
                     DB_PARAMETERS(db_text(locked, 0, "deliveries"), db_text(locked, 0, "attempts"),
                                   db_text(locked, 0, "message_statuses")));
    if (deleted != NULL)
        add_counts(counts, deleted, DELIVERIES, STATUSES);
    PQclear(deleted);
    PQclear(locked);
    return deleted != NULL;
}

/* What is locked is judged once more: it was found without a lock. */
static bool delete_locked(struct prune *prune, const char *places, int64_t *counts)
{
    PGresult *judged = judge(prune, places, counts);
    bool ok = judged != NULL;

    if (ok && db_text(judged, 0, "places") != NULL) {
        int64_t before = counts[DELIVERIES];

        ok = delete_whole(prune, db_text(judged, 0, "places"), counts);
        counts[IN_HAND] += number_at(judged, "deliveries") - (counts[DELIVERIES] - before);
    }
    PQclear(judged);
    return ok;
}

/* A batch of so many deliveries, in a transaction of its own. */
static bool delete_batch(struct prune *prune, const char *places, int64_t size, int64_t *counts)
{
    PGresult *locked = NULL;
    bool ok = db_begin(prune->db);

    if (ok)
        locked = db_query(prune->db, sql_prune_lock, DB_PARAMETERS(places));
    ok = locked != NULL;
    if (ok)
        counts[IN_HAND] += size - number_at(locked, "deliveries");
    if (ok && db_text(locked, 0, "places") != NULL)
        ok = delete_locked(prune, db_text(locked, 0, "places"), counts);
    PQclear(locked);
    return ok && db_commit(prune->db);
}

static bool run_batch(struct prune *prune, const char *places, int64_t size)
{
    int64_t counts[COUNTS] = {0};
    int64_t begun = clock_now();

    if (!(prune->dry ? count_batch(prune, places, counts)
                     : delete_batch(prune, places, size, counts)))
        return false;
    for (int i = 0; i < COUNTS; i++)
        prune->counts[i] += counts[i];
    show_progress(prune);
    if (!prune->dry)
        pause_after(prune, begun);
    return true;
}

/* ---- from the oldest on ---- */

static bool run_batches(struct prune *prune, const PGresult *batches)
{
    for (int row = 0; row < PQntuples(batches) && !interrupted; row++) {
        int64_t size = strtoll(PQgetvalue(batches, row, 1), NULL, 10);

        if (!run_batch(prune, PQgetvalue(batches, row, 0), size))
            return false;
    }
    return true;
}

/* Batches of deliveries whose latest attempt ended in [at, until); NULL after a complaint. */
static PGresult *find(struct prune *prune, int64_t until, int64_t *ret_found)
{
    /* A window that turns out to have too many is looked through again in parts: then it is enough
       to know that. */
    bool may_be_cut = until - prune->at > WINDOW_MIN;
    char from[32], to[32];
    PGresult *batches;

    snprintf(from, sizeof from, "%" PRId64, prune->at);
    snprintf(to, sizeof to, "%" PRId64, until);
    batches = db_query(prune->db, sql_prune_find,
                       DB_PARAMETERS(from, to, BATCH, may_be_cut ? FOUND_LIMIT : NULL));
    *ret_found = 0;
    for (int row = 0; batches != NULL && row < PQntuples(batches); row++)
        *ret_found += strtoll(PQgetvalue(batches, row, 1), NULL, 10);
    return batches;
}

/* Looks through the next piece of time, or finds that it has to be a shorter one. */
static bool run_window(struct prune *prune)
{
    int64_t until = prune->at + prune->window < prune->end ? prune->at + prune->window : prune->end;
    int64_t found;
    PGresult *batches = find(prune, until, &found);
    bool ok = batches != NULL;

    if (ok && found > FOUND_MANY && until - prune->at > WINDOW_MIN) {
        prune->window = (until - prune->at) / 2 > WINDOW_MIN ? (until - prune->at) / 2 : WINDOW_MIN;
    } else if (ok) {
        ok = run_batches(prune, batches);
        prune->at = until;
        if (found < FOUND_FEW && prune->window < WINDOW_MAX)
            prune->window *= 2;
    }
    PQclear(batches);
    show_progress(prune);
    return ok;
}

static bool run_deliveries(struct prune *prune)
{
    while (prune->at < prune->end && !interrupted) {
        if (!run_window(prune))
            return false;
    }
    return true;
}

/* ---- rejected events ---- */

static bool count_rejected(struct prune *prune)
{
    PGresult *rows = db_query(prune->db, sql_prune_rejected_count, DB_PARAMETERS(prune->cutoff));

    if (rows == NULL)
        return false;
    prune->counts[REJECTED] += number_at(rows, "deleted");
    PQclear(rows);
    return true;
}

static bool delete_rejected(struct prune *prune)
{
    char from[64] = "-infinity";
    bool more = true;

    while (more && !interrupted) {
        int64_t begun = clock_now();
        PGresult *rows = db_query(prune->db, sql_prune_rejected,
                                  DB_PARAMETERS(prune->cutoff, from, REJECTED_BATCH));

        if (rows == NULL)
            return false;
        prune->counts[REJECTED] += number_at(rows, "deleted");
        more = number_at(rows, "deleted") > 0;
        if (db_text(rows, 0, "latest") != NULL)
            snprintf(from, sizeof from, "%s", db_text(rows, 0, "latest"));
        PQclear(rows);
        show_progress(prune);
        pause_after(prune, begun);
    }
    return true;
}

/* ---- the report ---- */

static double seconds_of(const struct prune *prune)
{
    return (double)(clock_now() - prune->begun) / (double)CLOCK_SECOND;
}

static void print_json(const struct prune *prune)
{
    struct buf out;

    buf_init(&out, 4096);
    buf_add_char(&out, '{');
    json_add_text(&out, "older_than", prune->cutoff);
    json_add_bool(&out, "dry_run", prune->dry);
    json_add_bool(&out, "interrupted", interrupted != 0);
    for (int i = 0; i < COUNTS; i++)
        json_add_integer(&out, counted[i].name, prune->counts[i]);
    buf_printf(&out, ",\"seconds\":%.3f}", seconds_of(prune));
    puts(out.data);
    buf_release(&out);
}

static void print_text(const struct prune *prune)
{
    printf("%s what is older than %.19s UTC:", prune->dry ? "Would delete" : "Deleted",
           prune->cutoff);
    for (int i = DELIVERIES; i <= REJECTED; i++)
        printf("%s %" PRId64 " %s", i > DELIVERIES ? "," : "\n ", prune->counts[i],
               counted[i].text);
    printf("; in %.1f s\n", seconds_of(prune));
    for (int i = PERSON; i < COUNTS; i++) {
        if (prune->counts[i] > 0)
            printf("Kept %" PRId64 " %s as old: %s\n", prune->counts[i],
                   prune->counts[i] == 1 ? "delivery" : "deliveries", counted[i].text);
    }
}

static void report(const struct prune *prune)
{
    end_progress(prune);
    if (argument(prune->arguments, "json") != NULL)
        print_json(prune);
    else
        print_text(prune);
}

/* ---- the command ---- */

/* What may be refused to who may look: found out at once, and in a dry run too. */
static const struct db_need needs[] = {
    {sql_prune_lock, 1}, {sql_prune_lock_more, 1}, {sql_prune_delete, 3}, {sql_prune_rejected, 3},
    {.sql = NULL},
};

static bool begin(struct prune *prune, int64_t older_than)
{
    char text[32];
    PGresult *rows;

    snprintf(text, sizeof text, "%" PRId64, older_than);
    rows = db_query(prune->db, sql_prune_cutoff, DB_PARAMETERS(text));
    if (rows == NULL)
        return false;
    snprintf(prune->cutoff, sizeof prune->cutoff, "%s", db_text(rows, 0, "cutoff"));
    prune->end = number_at(rows, "cutoff_us");
    prune->at = number_at(rows, "oldest_us");
    PQclear(rows);
    return true;
}

static int prune_all(struct prune *prune, int64_t older_than)
{
    bool ok;

    if (!db_may(prune->db, needs) || !begin(prune, older_than))
        return COMMAND_FAILED;
    ok = run_deliveries(prune) &&
         (prune->dry ? count_rejected(prune) : interrupted || delete_rejected(prune));
    report(prune);
    if (ok && interrupted)
        return command_failed(prune->arguments, "interrupted; what was deleted stays deleted, the "
                                                "rest goes the next time");
    return ok ? COMMAND_DONE : COMMAND_FAILED;
}

static int run(const struct arguments *arguments)
{
    struct prune prune = {.arguments = arguments,
                          .dry = argument(arguments, "dry-run") != NULL,
                          .window = 60 * CLOCK_SECOND,
                          .begun = clock_now()};
    int64_t older_than;
    int status;

    if (argument(arguments, "older-than") == NULL)
        return command_wrong(arguments, "--older-than is missing, expected a duration such as 90d");
    if (!argument_duration(arguments, "older-than", &older_than))
        return COMMAND_WRONG;
    if (older_than < OLDER_THAN_MIN && argument(arguments, "young") == NULL)
        return command_wrong(arguments,
                             "--older-than: expected 2d at least: Kafka may repeat "
                             "younger events, and lookups need them (--young allows it)");
    if (argument(arguments, "pause") != NULL &&
        !argument_duration(arguments, "pause", &prune.pause))
        return COMMAND_WRONG;
    prune.db = db_open(arguments, prune.dry ? DB_READ : DB_WRITE);
    if (prune.db == NULL)
        return COMMAND_FAILED;
    catch_signals();
    status = prune_all(&prune, older_than);
    db_close(prune.db);
    return status;
}

static const struct command_option options[] = {
    {"older-than", "DURATION", "required: how old it must be, such as 90d"},
    {"dry-run", NULL, "only count what would be deleted"},
    {"young", NULL, "allow less than 2d (nothing is looked up, nothing repeated)"},
    {"pause", "DURATION", "rest between batches; default: as long as the batch took"},
    {"json", NULL, "one JSON object"},
    {NULL, NULL, NULL},
};

const struct command command_prune = {
    "prune",
    NULL,
    "delete history that is old enough",
    "Deletes deliveries that ended (accepted, failed, expired) longer ago, with their attempts "
    "and\n"
    "what became of their messages; and rejected events. Kept, however old: what isn't finished "
    "or\n"
    "published, what is left to a person, and messages whose status is still followed.\n"
    "\n"
    "Works in batches of " BATCH " deliveries, waits for nobody, and may run beside workers and\n"
    "other prunes. May be interrupted at any time: what was deleted stays deleted.\n"
    "Keep history for longer than Kafka keeps events: an event that comes again after its "
    "delivery\n"
    "was deleted is a new one, and is sent again.\n",
    options,
    COMMAND_NEEDS_DATABASE,
    run,
    false,
    "mms_operator",
};
