#ifndef WORKER_COMMANDS_TERMINAL_H
#define WORKER_COMMANDS_TERMINAL_H

#include <stdbool.h>

/*
 * The terminal of a live view: another screen, keys without Enter. SIGINT, SIGTERM and SIGHUP end
 * the view instead of the program, so that the terminal is always given back as it was. One at a
 * time.
 */

enum terminal_event { TERMINAL_TIME, TERMINAL_CHANGED, TERMINAL_QUIT };

/* False if stdin or stdout is no terminal; nothing has happened then. */
bool terminal_open(void);

/* Gives it back as it was. */
void terminal_close(void);

/* Its present size; 80 by 24 if it doesn't say. */
void terminal_size(int *ret_width, int *ret_height);

/* Shows these lines from the top, and nothing else. */
void terminal_draw(const char *text);

/* Waits: the time is over, the size has changed, or the user (q, Ctrl-C, a signal) leaves. */
enum terminal_event terminal_wait(int ms);

#endif
