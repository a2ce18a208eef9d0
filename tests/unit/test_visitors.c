#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/listen.h"
#include "worker/visitors.h"

#define MAX  8
#define LIFE (1500 * CLOCK_MS)
#define IDLE 1 /* second */
/* What is read of a line, and what the kernel holds behind it. */
#define LINE_MAX_BYTES (1 << 20)

static const char request[] = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi";

struct house {
    struct event_base *base;
    struct evhttp *server;
    struct visitors *visitors;
    int port;
    int answered;
};

static void on_request(struct evhttp_request *r, void *arg)
{
    struct house *house = arg;

    house->answered++;
    evhttp_add_header(evhttp_request_get_output_headers(r), "Connection", "close");
    evhttp_send_reply(r, 204, NULL, NULL);
}

static void open_house_for(struct house *house, int64_t life)
{
    *house = (struct house){.base = event_base_new()};
    house->server = evhttp_new(house->base);
    evhttp_set_timeout(house->server, IDLE);
    evhttp_set_gencb(house->server, on_request, house);
    house->visitors = visitors_new(house->base, house->server, MAX, life);
    house->port = listen_port(listen_http(house->server, "127.0.0.1:0"));
}

static void open_house(struct house *house)
{
    open_house_for(house, LIFE);
}

static void close_house(struct house *house)
{
    evhttp_free(house->server);
    visitors_free(house->visitors);
    event_base_free(house->base);
}

/* Turns the loop for so long. */
static void turn(struct house *house, int64_t us)
{
    int64_t until = clock_now() + us;

    do {
        event_base_loop(house->base, EVLOOP_NONBLOCK);
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    } while (clock_now() < until);
}

static int visit(struct house *house)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)house->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    turn(house, 2 * CLOCK_MS);
    return fd;
}

static void say(struct house *house, int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    turn(house, 2 * CLOCK_MS);
}

/* Whether the server has closed it; what it had said before is read. */
static bool is_closed(int fd)
{
    char bytes[512];
    ssize_t length;

    while ((length = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        ;
    return length == 0 || errno == ECONNRESET;
}

static int descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void each_is_answered(void **state)
{
    struct house house;
    char answer[512] = "";

    (void)state;
    open_house(&house);
    for (int i = 0; i < 5 * MAX; i++) {
        int fd = visit(&house);

        say(&house, fd, request);
        assert_true(recv(fd, answer, sizeof answer - 1, MSG_DONTWAIT) > 0);
        check_contains("answer", answer, "HTTP/1.1 204");
        assert_true(is_closed(fd));
        close(fd);
    }
    assert_int_equal(house.answered, 5 * MAX);
    close_house(&house);
}

static void one_too_many_costs_the_oldest_its_place(void **state)
{
    struct house house;
    int before, fds[MAX + 3];

    (void)state;
    open_house(&house);
    before = descriptors();
    for (int i = 0; i < MAX; i++)
        fds[i] = visit(&house);
    assert_false(is_closed(fds[0]));
    say(&house, fds[0], "POST / HT");
    for (int i = MAX; i < MAX + 3; i++)
        fds[i] = visit(&house);
    for (int i = 0; i < MAX + 3; i++)
        assert_int_equal(is_closed(fds[i]), i < 3);
    assert_int_equal(descriptors(), before + MAX + 3 + MAX); /* theirs, and ours */
    say(&house, fds[MAX], request);
    assert_int_equal(house.answered, 1);
    for (int i = 0; i < MAX + 3; i++)
        close(fds[i]);
    turn(&house, 300 * CLOCK_MS);
    assert_int_equal(descriptors(), before);
    close_house(&house);
}

static void who_leaves_makes_room(void **state)
{
    struct house house;
    int before;

    (void)state;
    open_house(&house);
    before = descriptors();
    for (int round = 0; round < 20; round++) {
        int fds[MAX];

        for (int i = 0; i < MAX; i++)
            fds[i] = visit(&house);
        for (int i = 0; i < MAX; i++)
            assert_false(is_closed(fds[i]));
        for (int i = 0; i < MAX; i++)
            close(fds[i]);
        turn(&house, 2 * CLOCK_MS);
    }
    turn(&house, 300 * CLOCK_MS);
    assert_int_equal(descriptors(), before);
    close_house(&house);
}

static void the_silent_are_closed(void **state)
{
    struct house house;
    int fds[3];

    (void)state;
    open_house(&house);
    for (int i = 0; i < 3; i++)
        fds[i] = visit(&house);
    say(&house, fds[1], "POST / HTTP/1.1\r\n");
    say(&house, fds[2], "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf");
    turn(&house, 700 * CLOCK_MS);
    for (int i = 0; i < 3; i++)
        assert_false(is_closed(fds[i]));
    turn(&house, 600 * CLOCK_MS);
    for (int i = 0; i < 3; i++) {
        assert_true(is_closed(fds[i]));
        close(fds[i]);
    }
    close_house(&house);
}

static void who_drips_is_closed(void **state)
{
    static const char *const first[] = {"POST / HTTP/1.1\r\nX: ", "POST / HT",
                                        "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < COUNT(first); i++) {
        struct house house;
        int64_t begin;
        int fd;

        open_house(&house);
        begin = clock_now();
        fd = visit(&house);
        say(&house, fd, first[i]);
        while (clock_now() - begin < LIFE - 200 * CLOCK_MS) {
            turn(&house, 100 * CLOCK_MS);
            check_false(first[i], is_closed(fd));
            say(&house, fd, "x");
        }
        turn(&house, 400 * CLOCK_MS);
        check_true(first[i], is_closed(fd));
        close(fd);
        close_house(&house);
    }
}

/* evhttp waits for the end of a chunk's first line, however long that gets. */
static void a_line_without_an_end_is_not_read_on(void **state)
{
    static const char first[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    char digits[16384];
    struct house house;
    ssize_t taken = 0, sent;
    int fd;

    (void)state;
    memset(digits, '0', sizeof digits);
    open_house(&house);
    fd = visit(&house);
    say(&house, fd, first);
    for (int i = 0; i < 1000 && !is_closed(fd); i++) {
        sent = send(fd, digits, sizeof digits, MSG_DONTWAIT | MSG_NOSIGNAL);
        taken += sent > 0 ? sent : 0;
        turn(&house, 0);
    }
    assert_true(is_closed(fd));
    check_true("soon", taken < LINE_MAX_BYTES);
    close(fd);
    close_house(&house);
}

/* Nothing of it stays unread, and it never comes to an end. */
static void empty_lines_without_an_end_are_not_read_on(void **state)
{
    static const char first[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    char lines[16384];
    struct house house;
    ssize_t taken = 0, sent;
    int fd;

    (void)state;
    for (size_t i = 0; i < sizeof lines; i += 2)
        memcpy(lines + i, "\r\n", 2);
    open_house_for(&house, 60 * CLOCK_SECOND); /* it is slow under valgrind */
    fd = visit(&house);
    say(&house, fd, first);
    for (int i = 0; i < 1000 && !is_closed(fd); i++) {
        sent = send(fd, lines, sizeof lines, MSG_DONTWAIT | MSG_NOSIGNAL);
        taken += sent > 0 ? sent : 0;
        turn(&house, 0);
    }
    assert_true(is_closed(fd));
    check_true("not before", taken >= 4 << 20);
    check_true("soon", taken < (4 << 20) + LINE_MAX_BYTES);
    close(fd);
    close_house(&house);
}

static void the_house_may_be_closed_with_all_in(void **state)
{
    struct house house;
    int before = descriptors();
    int fds[MAX];

    (void)state;
    open_house(&house);
    for (int i = 0; i < MAX; i++)
        fds[i] = visit(&house);
    say(&house, fds[0], "POST / HTTP/1.1\r\n");
    close_house(&house);
    for (int i = 0; i < MAX; i++) {
        assert_true(is_closed(fds[i]));
        close(fds[i]);
    }
    assert_int_equal(descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_answered),
        cmocka_unit_test(one_too_many_costs_the_oldest_its_place),
        cmocka_unit_test(who_leaves_makes_room),
        cmocka_unit_test(the_silent_are_closed),
        cmocka_unit_test(who_drips_is_closed),
        cmocka_unit_test(a_line_without_an_end_is_not_read_on),
        cmocka_unit_test(empty_lines_without_an_end_are_not_read_on),
        cmocka_unit_test(the_house_may_be_closed_with_all_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
