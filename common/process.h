#ifndef COMMON_PROCESS_H
#define COMMON_PROCESS_H

/*
 * Registers what Prometheus' client libraries tell of a process, under their names: CPU, memory,
 * descriptors, start. Looked up when metrics are written.
 */
void process_register(void);

/*
 * Nothing of this process' memory gets into a core file, whatever its limits and core(5)'s pattern
 * are, and no other process of this user looks into it: that takes root (prctl(2),
 * PR_SET_DUMPABLE). Nor does libcurl write the keys of its sessions to a file (SSLKEYLOGFILE),
 * which would open what was recorded of them. Before there are threads.
 */
void process_protect(void);

#endif
