/* Stands between SQLite and the disk: numbers what is written to the state files, and records it, kills or
 * refuses.
 *
 * Preloaded (LD_PRELOAD) by tests/fault/store_faults.py.  Environment, read once:
 *   STORE_FAULTS_PREFIX  files whose path starts with this are watched
 *   STORE_FAULTS_TRACE   record every change into this file (format: struct record, path or data behind it)
 *   STORE_FAULTS_KILL    end the process at once before change number K, as SIGKILL would
 *   STORE_FAULTS_WHILE   as long as this file exists every change fails with the error number it holds
 * and by call (ctypes): store_faults_arm(first, count, error) makes changes first .. first+count-1 from now
 * on fail.
 *
 * A change is a write, a truncation, a sync or the making, renaming or removal of a name.  One thread only.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { CREATE = 1, WRITE, TRUNCATE, SYNC, UNLINK, RENAME, SYNC_DIRECTORY };
enum { FD_MAX = 1024, PATH_LEN = 512 };

struct record {
    uint32_t change, name_len;
    uint64_t offset, data_len;
};

static char paths[FD_MAX][PATH_LEN]; /* of watched descriptors; "" = not watched */
static char prefix[PATH_LEN], folder[PATH_LEN], while_path[PATH_LEN];
static int trace_fd = -1;
static long changes, kill_at = -1, fail_first = -1, fail_count;
static int fail_errno;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void)
{
    const char *text = getenv("STORE_FAULTS_PREFIX");
    if (text)
        strncpy(prefix, text, PATH_LEN - 1);
    strcpy(folder, prefix);
    if (strrchr(folder, '/'))
        *strrchr(folder, '/') = 0;
    if ((text = getenv("STORE_FAULTS_TRACE")))
        trace_fd = REAL(open)(text, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if ((text = getenv("STORE_FAULTS_KILL")))
        kill_at = atol(text);
    if ((text = getenv("STORE_FAULTS_WHILE")))
        strncpy(while_path, text, PATH_LEN - 1);
}

/* The error that holds now by STORE_FAULTS_WHILE, 0 = none. */
static int standing_error(void)
{
    char text[16] = {0};
    int fd = while_path[0] ? REAL(open)(while_path, O_RDONLY) : -1;
    if (fd < 0)
        return 0;
    long len = REAL(read)(fd, text, sizeof text - 1);
    REAL(close)(fd);
    return len > 0 ? atoi(text) : 0;
}

void store_faults_arm(long first, long count, int error)
{
    changes = 0;
    fail_first = first;
    fail_count = count;
    fail_errno = error;
}

long store_faults_changes(void)
{
    return changes;
}

static int watched_path(const char *path)
{
    return prefix[0] && !strncmp(path, prefix, strlen(prefix));
}

static const char *watched(int fd)
{
    return fd >= 0 && fd < FD_MAX && paths[fd][0] ? paths[fd] : NULL;
}

static void put(const void *data, size_t len)
{
    if (trace_fd >= 0 && REAL(write)(trace_fd, data, len) != (ssize_t)len)
        _exit(99);
}

/* One change is about to happen: number it; 0 = go on, else -1 with errno set. */
static int change(uint32_t kind, const char *path, uint64_t offset, const void *data, uint64_t len)
{
    long number = ++changes;
    if (number == kill_at)
        _exit(137);
    if (fail_first >= 0 && number >= fail_first && number < fail_first + fail_count) {
        errno = fail_errno;
        return -1;
    }
    int error = standing_error();
    if (error) {
        errno = error;
        return -1;
    }
    struct record head = {kind, (uint32_t)strlen(path), offset, data ? len : 0};
    put(&head, sizeof head);
    put(path, head.name_len);
    if (data)
        put(data, len);
    return 0;
}

static int opened(int fd, const char *path)
{
    if (fd >= 0 && fd < FD_MAX) {
        paths[fd][0] = 0;
        if (watched_path(path) || !strcmp(path, folder))
            strncpy(paths[fd], path, PATH_LEN - 1);
    }
    return fd;
}

static int creating(const char *path, int flags)
{
    struct stat there;
    if (!(flags & O_CREAT) || !watched_path(path) || stat(path, &there) == 0)
        return 0;
    return change(CREATE, path, 0, NULL, 0);
}

#define OPEN(name)                                                                                           \
    int name(const char *path, int flags, ...)                                                               \
    {                                                                                                        \
        va_list rest;                                                                                        \
        va_start(rest, flags);                                                                               \
        mode_t mode = (mode_t)va_arg(rest, unsigned);                                                        \
        va_end(rest);                                                                                        \
        if (creating(path, flags))                                                                           \
            return -1;                                                                                       \
        return opened(REAL(name)(path, flags, mode), path);                                                  \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                         \
    int name(int at, const char *path, int flags, ...)                                                       \
    {                                                                                                        \
        va_list rest;                                                                                        \
        va_start(rest, flags);                                                                               \
        mode_t mode = (mode_t)va_arg(rest, unsigned);                                                        \
        va_end(rest);                                                                                        \
        if (creating(path, flags))                                                                           \
            return -1;                                                                                       \
        return opened(REAL(name)(at, path, flags, mode), path);                                              \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd)
{
    if (watched(fd))
        paths[fd][0] = 0;
    return REAL(close)(fd);
}

ssize_t write(int fd, const void *data, size_t len)
{
    const char *path = watched(fd);
    if (path && change(WRITE, path, (uint64_t)lseek(fd, 0, SEEK_CUR), data, len))
        return -1;
    return REAL(write)(fd, data, len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    const char *path = watched(fd);
    if (path && change(WRITE, path, (uint64_t)offset, data, len))
        return -1;
    return REAL(pwrite)(fd, data, len, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    const char *path = watched(fd);
    if (path && change(WRITE, path, (uint64_t)offset, data, len))
        return -1;
    return REAL(pwrite64)(fd, data, len, offset);
}

/* Reads of the watched database that touch these bytes fail. */
static off64_t unreadable_first = -1, unreadable_end = -1;
static ino_t unreadable_file; /* sectors go with the file, whatever it is called later */

void store_faults_unreadable(long first, long len)
{
    struct stat file;
    if (stat(prefix, &file))
        _exit(98);
    unreadable_file = file.st_ino;
    unreadable_first = first;
    unreadable_end = first + len;
}

static int unreadable(int fd, size_t len, off64_t offset)
{
    struct stat file;
    if (offset >= unreadable_end || offset + (off64_t)len <= unreadable_first || fstat(fd, &file))
        return 0;
    if (file.st_ino != unreadable_file)
        return 0;
    errno = EIO;
    return 1;
}

ssize_t pread(int fd, void *data, size_t len, off_t offset)
{
    return unreadable(fd, len, offset) ? -1 : REAL(pread)(fd, data, len, offset);
}

ssize_t pread64(int fd, void *data, size_t len, off64_t offset)
{
    return unreadable(fd, len, offset) ? -1 : REAL(pread64)(fd, data, len, offset);
}

int ftruncate(int fd, off_t len)
{
    const char *path = watched(fd);
    if (path && change(TRUNCATE, path, (uint64_t)len, NULL, 0))
        return -1;
    return REAL(ftruncate)(fd, len);
}

int ftruncate64(int fd, off64_t len)
{
    const char *path = watched(fd);
    if (path && change(TRUNCATE, path, (uint64_t)len, NULL, 0))
        return -1;
    return REAL(ftruncate64)(fd, len);
}

static int syncing(int fd)
{
    const char *path = watched(fd);
    return path ? change(strcmp(path, folder) ? SYNC : SYNC_DIRECTORY, path, 0, NULL, 0) : 0;
}

int fsync(int fd)
{
    return syncing(fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return syncing(fd) ? -1 : REAL(fdatasync)(fd);
}

int unlink(const char *path)
{
    if (watched_path(path) && change(UNLINK, path, 0, NULL, 0))
        return -1;
    return REAL(unlink)(path);
}

int rename(const char *from, const char *to)
{
    if (watched_path(from) && change(RENAME, from, 0, to, strlen(to)))
        return -1;
    return REAL(rename)(from, to);
}

/* A file system that refuses writes as read-only or full says so here too. */
static int refusing(const char *path, int error)
{
    return fail_first >= 0 && fail_errno == error && !strncmp(path, folder, strlen(folder));
}

int statvfs(const char *path, struct statvfs *out)
{
    int status = REAL(statvfs)(path, out);
    if (refusing(path, EROFS))
        out->f_flag |= ST_RDONLY;
    if (refusing(path, ENOSPC))
        out->f_bavail = 0;
    return status;
}

int statvfs64(const char *path, struct statvfs64 *out)
{
    int status = REAL(statvfs64)(path, out);
    if (refusing(path, EROFS))
        out->f_flag |= ST_RDONLY;
    if (refusing(path, ENOSPC))
        out->f_bavail = 0;
    return status;
}
