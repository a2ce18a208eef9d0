#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "common/process.h"
#include "worker/commands/command.h"
#include "worker/settings.h"

extern char **environ;

/*
 * A standard stream that we are given closed would lend its number to what is opened next, and the
 * log would go into that: a pipe of librdkafka's, a connection. Each fails as a closed one does.
 */
static void occupy_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            _exit(1); /* and nobody could be told */
    }
}

int main(int argc, char **argv)
{
    occupy_standard_streams();
    if (!settings_allow_core_dumps(environ))
        process_protect();
    json_object_seed(0); /* before there are threads */
    return command_main(argc, argv, environ);
}
