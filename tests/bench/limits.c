/*
 * mms-bench-limits: measures one limit and prints it as a number a second. README.md says how the
 * bench uses it.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "limits.h"

#define PROCESSES_MAX 64
#define ROUNDS_MAX    16

void limits_fail(const char *what, const char *why)
{
    fprintf(stderr, "mms-bench-limits: %s: %s\n", what, why);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double limits_median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof values[0], compare);
    return values[count / 2];
}

static void pause_for(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

    nanosleep(&time, NULL);
}

static pid_t start(limits_work *work, const void *arg, int process, atomic_ullong *done)
{
    pid_t pid = fork();

    if (pid < 0)
        limits_fail("fork", "no process to be had");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(arg, process, done);
        _exit(1);
    }
    return pid;
}

static unsigned long long sum(atomic_ullong *done, int processes)
{
    unsigned long long total = 0;

    for (int i = 0; i < processes; i++)
        total += atomic_load(&done[i]);
    return total;
}

static double measure_round(double seconds, atomic_ullong *done, int processes)
{
    int64_t begin = clock_now();
    unsigned long long before = sum(done, processes);

    pause_for(seconds);
    return (double)(sum(done, processes) - before) * CLOCK_SECOND / (double)(clock_now() - begin);
}

double limits_measure(const struct limits_rounds *rounds, limits_work *work, const void *arg)
{
    size_t size = PROCESSES_MAX * sizeof(atomic_ullong);
    atomic_ullong *done =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[PROCESSES_MAX];
    double rates[ROUNDS_MAX];
    bool ended = false;

    if (done == MAP_FAILED)
        limits_fail("mmap", "no memory to share");
    for (int i = 0; i < rounds->processes; i++)
        pids[i] = start(work, arg, i, &done[i]);
    pause_for(rounds->warm_up);
    for (int i = 0; i < rounds->rounds; i++)
        rates[i] = measure_round(rounds->seconds, done, rounds->processes);
    for (int i = 0; i < rounds->processes; i++) {
        ended = ended || waitpid(pids[i], NULL, WNOHANG) != 0;
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    munmap(done, size);
    if (ended)
        exit(1); /* it has said why */
    return limits_median(rates, rounds->rounds);
}

static int usage(void)
{
    fprintf(stderr, "usage: mms-bench-limits PROCESSES SECONDS ROUNDS WHAT\n"
                    "  sql CONNINFO DESTINATIONS cycle|drain\n"
                    "  http BASE_URL CONNECTIONS\n"
                    "  kafka BOOTSTRAP_SERVERS TOPIC\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct limits_rounds rounds;
    double rate;

    if (argc < 7)
        return usage();
    rounds = (struct limits_rounds){.processes = (int)strtol(argv[1], NULL, 10),
                                    .warm_up = 1,
                                    .seconds = strtod(argv[2], NULL),
                                    .rounds = (int)strtol(argv[3], NULL, 10)};
    if (rounds.processes < 1 || rounds.processes > PROCESSES_MAX || rounds.rounds < 1 ||
        rounds.rounds > ROUNDS_MAX)
        return usage();
    if (strcmp(argv[4], "sql") == 0 && argc == 8)
        rate =
            sql_limit(&rounds, &(struct sql_limit){.conninfo = argv[5],
                                                   .destinations = (int)strtol(argv[6], NULL, 10),
                                                   .intake = strcmp(argv[7], "cycle") == 0});
    else if (strcmp(argv[4], "http") == 0 && argc == 7)
        rate = http_limit(&rounds,
                          &(struct http_limit){.base_url = argv[5],
                                               .connections = (int)strtol(argv[6], NULL, 10)});
    else if (strcmp(argv[4], "kafka") == 0 && argc == 7)
        rate = kafka_limit(&rounds,
                           &(struct kafka_limit){.bootstrap_servers = argv[5], .topic = argv[6]});
    else
        return usage();
    printf("%.1f\n", rate);
    return 0;
}
