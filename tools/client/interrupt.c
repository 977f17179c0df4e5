/* interrupt.c - a signalfd; no handler, no global flag. */
#include "tools/client/interrupt.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "protocol/base/check.h"

void interrupt_open(struct interrupt *interrupt)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    interrupt->happened = false;
    interrupt->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(interrupt->fd >= 0);
}

void interrupt_close(struct interrupt *interrupt)
{
    if (interrupt->fd >= 0)
        (void)close(interrupt->fd);
    interrupt->fd = -1;
}

bool interrupt_happened(struct interrupt *interrupt)
{
    (void)interrupt_wait(interrupt, -1, 0);
    return interrupt->happened;
}

bool interrupt_wait(struct interrupt *interrupt, int fd, int timeout_ms)
{
    struct pollfd polls[] = { { .fd = interrupt->fd, .events = POLLIN },
        { .fd = fd, .events = POLLIN } };
    struct signalfd_siginfo info;

    if (poll(polls, ARRAY_COUNT(polls), timeout_ms) <= 0)
        return false;
    if (polls[0].revents && read(interrupt->fd, &info, sizeof(info)) > 0)
        interrupt->happened = true;
    return polls[1].revents != 0;
}

bool interrupt_reader_gone(int fd)
{
    struct pollfd one = { .fd = fd, .events = 0 };

    return poll(&one, 1, 0) > 0 && (one.revents & POLLERR);
}
