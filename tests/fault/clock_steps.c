/* Moves the clocks of one process while it runs.
 *
 * Preloaded (LD_PRELOAD) by tests/fault/test_agent_clock.py.  CLOCK_STEPS names a file of two int64,
 * nanoseconds, that the test changes at any time: 0  step: added to the wall clock only, as somebody who sets
 * it does 1  suspended: added to the wall clock and to CLOCK_BOOTTIME, as a suspend does
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *moved;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("CLOCK_STEPS");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, 2 * sizeof *moved, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        moved = map;
    close(fd);
}

static int64_t moved_by(clockid_t id)
{
    if (!moved)
        return 0;
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        return moved[0] + moved[1];
    return id == CLOCK_BOOTTIME ? moved[1] : 0;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    int status = (int)syscall(SYS_clock_gettime, id, now);
    if (status == 0) {
        int64_t ns = now->tv_nsec + moved_by(id) % 1000000000;
        now->tv_sec += (time_t)(moved_by(id) / 1000000000);
        now->tv_sec += ns >= 1000000000 ? 1 : ns < 0 ? -1 : 0;
        now->tv_nsec = (long)((ns + 1000000000) % 1000000000);
    }
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now)
{
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now)
        *now = exact.tv_sec;
    return exact.tv_sec;
}
