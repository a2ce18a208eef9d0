#ifndef COMMON_PROCESS_H
#define COMMON_PROCESS_H

/*
 * Registers what Prometheus' client libraries tell of a process, under their names: CPU, memory,
 * descriptors, start. Looked up when metrics are written.
 */
void process_register(void);

#endif
