#include <jansson.h>

#include "common/process.h"
#include "worker/commands/command.h"
#include "worker/settings.h"

extern char **environ;

int main(int argc, char **argv)
{
    if (!settings_allow_core_dumps(environ))
        process_protect();
    json_object_seed(0); /* before there are threads */
    return command_main(argc, argv, environ);
}
