#include "worker/commands/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/clock.h"

/* The other screen, without a cursor, and lines that don't wrap; and back. */
static const char enter[] = "\033[?1049h\033[?25l\033[?7l\033[2J";
static const char leave[] = "\033[?7h\033[?25h\033[?1049l";

static struct termios before;
static sigset_t unblocked; /* what was not blocked before is let in while we wait, and only then */
static volatile sig_atomic_t quit, changed;

static void on_signal(int number)
{
    if (number == SIGWINCH)
        changed = 1;
    else
        quit = 1;
}

/* Signals come in only while we wait: no call in between is disturbed, and none gets lost. */
static void take_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;

    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaddset(&blocked, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
    pthread_sigmask(SIG_BLOCK, &blocked, &unblocked);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigdelset(&unblocked, numbers[i]);
}

static void write_all(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
}

bool terminal_open(void)
{
    struct termios raw;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    take_signals();
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* who stops us would be left with our screen */
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    write_all(enter);
    return true;
}

void terminal_close(void)
{
    write_all(leave);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

void terminal_size(int *ret_width, int *ret_height)
{
    struct winsize size;

    *ret_width = 80;
    *ret_height = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *ret_width = size.ws_col;
        *ret_height = size.ws_row;
    }
}

void terminal_draw(const char *text)
{
    fputs("\033[H", stdout);
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");

        printf("%.*s\033[K", (int)length, text);
        text += length + (text[length] == '\n');
        if (*text != '\0')
            putchar('\n');
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}

/* Whether one of the keys that were pressed is q. */
static bool pressed_quit(void)
{
    char keys[64];
    ssize_t count = read(STDIN_FILENO, keys, sizeof keys);

    if (count < 0)
        return errno != EINTR && errno != EAGAIN; /* the terminal is gone */
    return memchr(keys, 'q', (size_t)count) != NULL || memchr(keys, 'Q', (size_t)count) != NULL;
}

enum terminal_event terminal_wait(int ms)
{
    int64_t end = clock_now() + ms * CLOCK_MS;

    for (;;) {
        int64_t left = end - clock_now();
        struct timespec wait = {.tv_sec = left / CLOCK_SECOND,
                                .tv_nsec = left % CLOCK_SECOND * 1000};
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        int ready;

        if (left <= 0)
            wait = (struct timespec){.tv_sec = 0}; /* signals are looked at all the same */
        ready = ppoll(&input, 1, &wait, &unblocked);
        if (quit || (ready > 0 && ((input.revents & (POLLHUP | POLLERR)) != 0 || pressed_quit())))
            return TERMINAL_QUIT;
        if (changed) {
            changed = 0;
            return TERMINAL_CHANGED;
        }
        if (left <= 0)
            return TERMINAL_TIME;
    }
}
