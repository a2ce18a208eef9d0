#ifndef WORKER_VERSION_H
#define WORKER_VERSION_H

/* The program's version (https://semver.org), in this place alone. */
#define WORKER_VERSION "1.0.0"

#endif
