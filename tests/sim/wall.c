#include "wall.h"

#include <time.h>

int64_t wall_now(const struct wall *w)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + w->offset;
}

void wall_http_date(const struct wall *w, char out[WALL_HTTP_DATE_SIZE])
{
    time_t second = (time_t)(wall_now(w) / 1000000000);
    struct tm parts;

    gmtime_r(&second, &parts);
    strftime(out, WALL_HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &parts);
}
