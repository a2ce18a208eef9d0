#include <jansson.h>

#include "worker/commands/command.h"

extern char **environ;

int main(int argc, char **argv)
{
    json_object_seed(0); /* before there are threads */
    return command_main(argc, argv, environ);
}
