#include "process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "metrics.h"

#define LINE_SIZE 1024

enum { CPU, RESIDENT, START, OPEN, MAX };

static struct metric metrics[] = {
    [CPU] = {.name = "process_cpu_seconds_total",
             .type = "counter",
             .micros = true,
             .help = "Total user and system CPU time spent in seconds."},
    [RESIDENT] = {.name = "process_resident_memory_bytes",
                  .type = "gauge",
                  .help = "Resident memory size in bytes."},
    [START] = {.name = "process_start_time_seconds",
               .type = "gauge",
               .micros = true,
               .help = "Start time of the process since unix epoch in seconds."},
    [OPEN] = {.name = "process_open_fds",
              .type = "gauge",
              .help = "Number of open file descriptors."},
    [MAX] = {.name = "process_max_fds",
             .type = "gauge",
             .help = "Maximum number of open file descriptors."},
};

static int64_t to_us(struct timeval tv)
{
    return (int64_t)tv.tv_sec * CLOCK_SECOND + tv.tv_usec;
}

/* The first line of a file of proc(5); "" if there is none. */
static const char *line_of(const char *path, char line[LINE_SIZE])
{
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fgets(line, LINE_SIZE, file) != NULL;

    if (file != NULL)
        fclose(file);
    return read ? line : "";
}

/* What follows the `count`th blank. */
static const char *after_blanks(const char *text, int count)
{
    while (count > 0 && *text != '\0')
        count -= *text++ == ' ';
    return text;
}

/* The second number of /proc/self/statm; 0 if there is none. */
static int64_t resident_bytes(void)
{
    char line[LINE_SIZE];
    long long pages = strtoll(after_blanks(line_of("/proc/self/statm", line), 1), NULL, 10);

    return pages * sysconf(_SC_PAGESIZE);
}

static int64_t open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int64_t count = -1; /* the directory's own */

    if (directory == NULL)
        return 0;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* When it was started: the 22nd field of /proc/self/stat, in ticks since the machine's boot. */
static int64_t start_us(void)
{
    char line[LINE_SIZE];
    const char *name_end = strrchr(line_of("/proc/self/stat", line), ')'); /* may hold anything */
    long long ticks = name_end != NULL ? strtoll(after_blanks(name_end, 20), NULL, 10) : 0;
    struct timespec up;
    int64_t age;

    if (ticks == 0 || clock_gettime(CLOCK_BOOTTIME, &up) != 0)
        return clock_wall();
    age = (int64_t)up.tv_sec * CLOCK_SECOND + up.tv_nsec / 1000 -
          ticks * CLOCK_SECOND / sysconf(_SC_CLK_TCK);
    return clock_wall() - age;
}

static void update(void *arg)
{
    struct rusage usage;
    struct rlimit limit;

    (void)arg;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        metrics[CPU].value = to_us(usage.ru_utime) + to_us(usage.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics[MAX].value = (int64_t)limit.rlim_cur;
    metrics[RESIDENT].value = resident_bytes();
    metrics[OPEN].value = open_descriptors();
}

void process_register(void)
{
    metrics[START].value = start_us();
    metrics_register_all(metrics, sizeof metrics / sizeof metrics[0]);
    metrics_on_write(update, NULL);
}

void process_protect(void)
{
    struct rlimit limit;

    /* The limit says nothing to a pattern that is a pipe. */
    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &limit);
    }
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    unsetenv("SSLKEYLOGFILE"); /* NOLINT(concurrency-mt-unsafe): no threads yet */
}
