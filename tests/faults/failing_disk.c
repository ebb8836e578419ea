/* A disk that fails at the k-th change below one folder.

   Preloaded into a process (LD_PRELOAD), it counts every write, truncate, fsync, rename,
   mkdir, unlink and opening for writing below the folder that `arm` names. At the k-th

   - mode FAIL fails with an error number, once: what a bad sector or a full disk does;
   - mode DIE does half a write, and lets nothing through from then on: what the disk
     has seen of a process that was killed at this moment.

   Compile: gcc -shared -fPIC -O1 -o failing_disk.so failing_disk.c -ldl
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT = 0, FAIL = 1, DIE = 2 };

static char root[PATH_MAX];
static size_t root_length;
static long counter, fail_at;
static int mode, error_number, armed, dead;
static char last[PATH_MAX + 64];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void arm(const char *folder, long k, int how, int error) {
    strncpy(root, folder, sizeof root - 1);
    root_length = strlen(root);
    counter = 0, fail_at = k, mode = how, error_number = error, dead = 0, armed = 1;
    last[0] = 0;
}

long disarm(void) {
    armed = 0;
    return counter;
}

const char *failed_operation(void) { return last; }

static int below(const char *path) {
    return !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static void resolve(int folder, const char *path, char *out) {
    char link[64];
    ssize_t n = 0;
    if (path[0] == '/') {
        strncpy(out, path, PATH_MAX - 1);
        out[PATH_MAX - 1] = 0;
        return;
    }
    if (folder == AT_FDCWD) {
        if (!getcwd(out, PATH_MAX)) out[0] = 0;
        n = strlen(out);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        n = readlink(link, out, PATH_MAX - 1);
        n = n < 0 ? 0 : n;
    }
    if (path[0]) snprintf(out + n, PATH_MAX - n, "/%s", path);
    else out[n] = 0;
}

/* 0: go on; 1: fail with errno; 2: do half of it, then fail. */
static int check(const char *operation, int folder, const char *path) {
    if (!armed) return 0;
    char full[PATH_MAX];
    int saved = errno, verdict = 0;
    resolve(folder, path, full);
    if (below(full)) {
        pthread_mutex_lock(&lock);
        if (dead) {
            verdict = 1;
        } else if (++counter == fail_at) {
            snprintf(last, sizeof last, "%s %s", operation, full + root_length);
            if (mode == FAIL) verdict = 1;
            if (mode == DIE) verdict = 2, dead = 1;
        }
        pthread_mutex_unlock(&lock);
    }
    errno = verdict ? error_number : saved;
    return verdict;
}

static int writes(int flags) { return flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR); }

#define OPEN(name)                                                                    \
    int name(const char *path, int flags, ...) {                                      \
        va_list rest;                                                                 \
        va_start(rest, flags);                                                        \
        mode_t permissions = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                                 \
        if (writes(flags) && check("open", AT_FDCWD, path)) return -1;                \
        return REAL(name)(path, flags, permissions);                                  \
    }
#define OPENAT(name)                                                                  \
    int name(int folder, const char *path, int flags, ...) {                          \
        va_list rest;                                                                 \
        va_start(rest, flags);                                                        \
        mode_t permissions = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                                 \
        if (writes(flags) && check("open", folder, path)) return -1;                  \
        return REAL(name)(folder, path, flags, permissions);                          \
    }
#define FOPEN(name)                                                                   \
    FILE *name(const char *path, const char *how) {                                   \
        if (strpbrk(how, "wa+") && check("open", AT_FDCWD, path)) return NULL;        \
        return REAL(name)(path, how);                                                 \
    }
#define WRITE(name, parameters, arguments, half)                                      \
    ssize_t name parameters {                                                         \
        int verdict = check("write", descriptor, "");                                 \
        if (verdict == 2) { half; errno = error_number; }                             \
        return verdict ? -1 : REAL(name) arguments;                                   \
    }
#define CHANGE(name, parameters, arguments, operation, folder, path)                  \
    int name parameters {                                                             \
        return check(operation, folder, path) ? -1 : REAL(name) arguments;            \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
WRITE(write, (int descriptor, const void *data, size_t size), (descriptor, data, size),
      REAL(write)(descriptor, data, size / 2))
WRITE(pwrite, (int descriptor, const void *data, size_t size, off_t at),
      (descriptor, data, size, at), REAL(pwrite)(descriptor, data, size / 2, at))
WRITE(pwrite64, (int descriptor, const void *data, size_t size, off64_t at),
      (descriptor, data, size, at), REAL(pwrite64)(descriptor, data, size / 2, at))
WRITE(writev, (int descriptor, const struct iovec *parts, int count), (descriptor, parts, count), )
CHANGE(fsync, (int descriptor), (descriptor), "fsync", descriptor, "")
CHANGE(fdatasync, (int descriptor), (descriptor), "fsync", descriptor, "")
CHANGE(ftruncate, (int descriptor, off_t size), (descriptor, size), "truncate", descriptor, "")
CHANGE(ftruncate64, (int descriptor, off64_t size), (descriptor, size), "truncate", descriptor, "")
CHANGE(rename, (const char *from, const char *to), (from, to), "rename", AT_FDCWD, to)
CHANGE(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), "rename", b, to)
CHANGE(mkdir, (const char *path, mode_t rights), (path, rights), "mkdir", AT_FDCWD, path)
CHANGE(mkdirat, (int folder, const char *path, mode_t rights), (folder, path, rights), "mkdir", folder, path)
CHANGE(unlink, (const char *path), (path), "unlink", AT_FDCWD, path)
CHANGE(unlinkat, (int folder, const char *path, int flags), (folder, path, flags), "unlink", folder, path)
CHANGE(rmdir, (const char *path), (path), "rmdir", AT_FDCWD, path)
CHANGE(symlink, (const char *to, const char *path), (to, path), "symlink", AT_FDCWD, path)
CHANGE(link, (const char *from, const char *path), (from, path), "link", AT_FDCWD, path)

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    int verdict = check("write", fileno(file), "");
    if (verdict == 2) REAL(fwrite)(data, size, count / 2, file);
    if (verdict) {
        errno = error_number;
        return 0;
    }
    return REAL(fwrite)(data, size, count, file);
}

int fflush(FILE *file) {
    if (file && check("write", fileno(file), "")) return EOF;
    return REAL(fflush)(file);
}

int fclose(FILE *file) {
    /* What a dead process has buffered is lost: it is written to nowhere. */
    if (armed && dead && check("write", fileno(file), "")) {
        int nowhere = REAL(open)("/dev/null", O_WRONLY);
        dup2(nowhere, fileno(file));
        close(nowhere);
        REAL(fclose)(file);
        errno = error_number;
        return EOF;
    }
    return REAL(fclose)(file);
}
