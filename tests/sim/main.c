/* twilio-sim: a stand-in for Twilio's Messages API that can misbehave on demand. See README.md. */
#include <event2/event.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control.h"
#include "http_server.h"
#include "text.h"
#include "twilio_api.h"
#include "wall.h"

static const char USAGE[] =
    "usage: twilio-sim [--listen HOST:PORT] [--port-file PATH]\n"
    "  --listen     where to listen, default 127.0.0.1:0 (port 0: any free port)\n"
    "  --port-file  write the port number here once ready\n";

struct options {
    const char *listen;
    const char *port_file; /* NULL: none */
};

struct sim {
    struct http_server *server;
    struct twilio_api *api;
};

/* Returns 0, 1 after --help, or -1 for arguments that are wrong. */
static int parse_options(int argc, char **argv, struct options *ret_options)
{
    static const struct option known[] = {{"listen", required_argument, NULL, 'l'},
                                          {"port-file", required_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'l')
            ret_options->listen = optarg;
        else if (c == 'p')
            ret_options->port_file = optarg;
        else
            return c == 'h' ? 1 : -1;
    }
    return optind == argc ? 0 : -1;
}

/* Whoever waits for the file must never see half of it: it is renamed into place. */
static int write_port_file(const char *path, uint16_t port)
{
    struct text temporary = {0};
    FILE *file;
    int rc = -1;

    text_addf(&temporary, "%s.%ld.tmp", path, (long)getpid());
    file = fopen(temporary.data, "w");
    if (file != NULL) {
        fprintf(file, "%" PRIu16 "\n", port);
        if (fclose(file) == 0)
            rc = rename(temporary.data, path);
    }
    if (rc != 0)
        perror(path);
    text_release(&temporary);
    return rc;
}

/* Benches open thousands of connections; take what the system grants. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void on_request(struct http_exchange *ex, void *arg)
{
    struct sim *sim = arg;

    if (control_owns(http_exchange_request(ex)->path))
        control_handle(ex, sim->api, sim->server);
    else
        twilio_api_handle(sim->api, ex);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(arg);
}

static int announce(const struct options *options, const struct http_server *server)
{
    uint16_t port = http_server_port(server);
    int host_len = (int)(strrchr(options->listen, ':') - options->listen);

    if (options->port_file != NULL && write_port_file(options->port_file, port) != 0)
        return -1;
    printf("listening on %.*s:%" PRIu16 "\n", host_len, options->listen, port);
    fflush(stdout);
    return 0;
}

static int run(const struct options *options, struct event_base *base)
{
    struct wall wall = {0};
    struct sim sim = {.api = twilio_api_new(base, &wall)};
    struct event *on_term = evsignal_new(base, SIGTERM, on_signal, base);
    struct event *on_int = evsignal_new(base, SIGINT, on_signal, base);
    char error[512];
    int rc = 1;

    event_add(on_term, NULL);
    event_add(on_int, NULL);
    sim.server =
        http_server_new(base, &wall, options->listen, on_request, &sim, error, sizeof(error));
    if (sim.server == NULL)
        fprintf(stderr, "twilio-sim: %s\n", error);
    else if (announce(options, sim.server) == 0)
        rc = event_base_dispatch(base) < 0;
    twilio_api_free(sim.api); /* before the server: it gives back the exchanges that wait */
    if (sim.server != NULL)
        http_server_free(sim.server);
    event_free(on_term);
    event_free(on_int);
    return rc;
}

int main(int argc, char **argv)
{
    struct options options = {.listen = "127.0.0.1:0"};
    int parsed = parse_options(argc, argv, &options);
    struct event_base *base;
    int rc;

    if (parsed != 0) {
        fputs(USAGE, parsed > 0 ? stdout : stderr);
        return parsed > 0 ? 0 : 2;
    }
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    base = event_base_new();
    if (base == NULL) {
        fputs("twilio-sim: cannot make an event loop\n", stderr);
        return 1;
    }
    rc = run(&options, base);
    event_base_free(base);
    libevent_global_shutdown();
    return rc;
}
