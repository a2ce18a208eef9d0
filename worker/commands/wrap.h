#ifndef WORKER_COMMANDS_WRAP_H
#define WORKER_COMMANDS_WRAP_H

/* The width of what is written for people. */
#define WRAP_WIDTH 80

/*
 * Prints `label` behind `indent` blanks, then `text` from column `hanging` on, in lines of at most
 * WRAP_WIDTH characters. Lines are broken at blanks; a longer word stands alone. Control characters
 * never reach the terminal.
 */
void wrap_print(int indent, const char *label, int hanging, const char *text);

#endif
