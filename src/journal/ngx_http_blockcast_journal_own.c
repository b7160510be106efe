
/*
 * Tells files of blockcast from other ones, which are left alone.  Files are
 * opened by name in a folder that is held open; no link is followed, and no
 * open() can block.
 */


#include "ngx_http_blockcast_journal_own.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_journal_lead.h"
#include "bc_journal.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <sys/xattr.h>


/* how many groups of the workers' user are considered */
#define NGX_HTTP_BLOCKCAST_GROUPS  256

/* bytes of a user's name in messages */
#define NGX_HTTP_BLOCKCAST_USER    64


static const char *
ngx_http_blockcast_journal_own_kind(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFLNK:
        return "a symbolic link";
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    case S_IFREG:
        return "a file";
    default:
        return "a device";
    }
}


/* Returns the workers' user, or ours when the master cannot change it. */

static uid_t
ngx_http_blockcast_journal_own_user(ngx_http_blockcast_journal_t *s)
{
    return (geteuid() == 0 && s->core->master) ? s->core->user : geteuid();
}


/* Writes a user for a message: "NAME", or the uid if it has no name. */

static char *
ngx_http_blockcast_journal_own_user_name(uid_t uid, char *text)
{
    u_char         *p, *last;
    struct passwd  *pw;

    p = (u_char *) text;
    last = p + NGX_HTTP_BLOCKCAST_USER - 1;

    pw = getpwuid(uid);

    if (pw != NULL) {
        p = ngx_slprintf(p, last, "\"%s\"", pw->pw_name);

    } else {
        p = ngx_slprintf(p, last, "%uL", (uint64_t) uid);
    }

    *p = '\0';

    return text;
}


/*
 * Opens a regular file.  Returns -1 with errno, which is 0 when the name is
 * that of another kind of file.
 */

static int
ngx_http_blockcast_journal_own_regular(int dir, const char *name, int flags,
    struct stat *st)
{
    int  fd, err;

    if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) == -1) {
        return -1;
    }

    if (!S_ISREG(st->st_mode)) {
        ngx_set_errno(0);
        return -1;
    }

    fd = openat(dir, name, flags|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK|O_NOCTTY);

    if (fd == -1) {
        return -1;
    }

    if (fstat(fd, st) == -1 || !S_ISREG(st->st_mode)) {
        err = S_ISREG(st->st_mode) ? ngx_errno : 0;
        (void) close(fd);
        ngx_set_errno(err);
        return -1;
    }

    return fd;
}


ngx_uint_t
ngx_http_blockcast_journal_own_replaceable(int dir, const char *name)
{
    int          fd;
    u_char       head[8];
    ssize_t      n;
    struct stat  st;

    fd = ngx_http_blockcast_journal_own_regular(dir, name, O_RDONLY, &st);

    if (fd == -1) {
        return ngx_errno == NGX_ENOENT;
    }

    n = pread(fd, head, sizeof(head), 0);

    (void) close(fd);

    return n >= 0 && bc_journal_ours(head, (size_t) n);
}


/* Returns NULL if the lock file is ours, or else what it is. */

static const char *
ngx_http_blockcast_journal_own_lock_why(ngx_http_blockcast_journal_t *s,
    int fd, struct stat *st)
{
    u_char   head[BC_JOURNAL_NOTE];
    ssize_t  i, n;

    if (st->st_nlink > 1) {
        return "a file that has other names, too";
    }

    if (st->st_uid != geteuid()
        && st->st_uid != ngx_http_blockcast_journal_own_user(s))
    {
        return "a file of another user";
    }

    n = pread(fd, head, sizeof(head), 0);

    /* a power loss may have left zeros */

    if (n < 0
        || (n > 0 && head[0] != '0' && head[0] != '1' && head[0] != 0)
        || (n > 1 && head[1] != '\n' && head[1] != 0))
    {
        return "not a lock file of blockcast";
    }

    for (i = 2; i < n; i++) {

        /* skip the place of the record of the lead */

        if ((i < BC_JOURNAL_LEAD
             || i >= BC_JOURNAL_LEAD + BC_JOURNAL_LEAD_LEN)
            && head[i] != 0)
        {
            return "not a lock file of blockcast";
        }
    }

    if (n >= BC_JOURNAL_LEAD + BC_JOURNAL_LEAD_LEN
        && !ngx_http_blockcast_journal_lead_is_record(head + BC_JOURNAL_LEAD))
    {
        return "not a lock file of blockcast";
    }

    return NULL;
}


int
ngx_http_blockcast_journal_own_lock_open(ngx_http_blockcast_journal_t *s,
    ngx_uint_t make, const char **why)
{
    int          fd;
    struct stat  st;

    *why = NULL;

    if (make) {
        fd = openat(s->dir, s->lockname,
                    O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW, 0600);

        if (fd != -1 || ngx_errno != NGX_EEXIST) {
            return fd;
        }
    }

    fd = ngx_http_blockcast_journal_own_regular(s->dir, s->lockname, O_RDWR,
                                                &st);

    if (fd == -1) {

        if (ngx_errno == 0) {
            *why = ngx_http_blockcast_journal_own_kind(st.st_mode);
        }

        return -1;
    }

    *why = ngx_http_blockcast_journal_own_lock_why(s, fd, &st);

    if (*why != NULL) {
        (void) close(fd);
        ngx_set_errno(0);
        return -1;
    }

    return fd;
}


/*
 * Returns whether the workers can create files in the folder, with errno if
 * not.  A folder with an access control list counts as writable, as its mode
 * does not tell.
 */

static ngx_uint_t
ngx_http_blockcast_journal_own_writable(ngx_http_blockcast_journal_t *s,
    int dir, struct stat *st)
{
    int     i, n;
    uid_t   uid;
    gid_t   groups[NGX_HTTP_BLOCKCAST_GROUPS];
    mode_t  need;

    if (faccessat(dir, ".", W_OK|X_OK, AT_EACCESS) == -1) {
        return 0;
    }

    uid = ngx_http_blockcast_journal_own_user(s);

    if (uid == geteuid()
        || fgetxattr(dir, "system.posix_acl_access", NULL, 0) > 0)
    {
        return 1;
    }

    ngx_set_errno(NGX_EACCES);

    if (st->st_uid == uid) {
        need = S_IWUSR|S_IXUSR;
        return (st->st_mode & need) == need;
    }

    n = NGX_HTTP_BLOCKCAST_GROUPS;

    if (s->core->username == NULL
        || getgrouplist(s->core->username, s->core->group, groups, &n) == -1)
    {
        groups[0] = s->core->group;
        n = 1;
    }

    need = S_IWOTH|S_IXOTH;

    for (i = 0; i < n; i++) {
        if (groups[i] == st->st_gid) {
            need = S_IWGRP|S_IXGRP;
            break;
        }
    }

    ngx_set_errno(NGX_EACCES);

    return (st->st_mode & need) == need;
}


static ngx_int_t
ngx_http_blockcast_journal_own_check_file(ngx_http_blockcast_journal_t *s,
    int dir, ngx_log_t *log)
{
    int          fd;
    u_char       head[8];
    ssize_t      n;
    struct stat  st;

    fd = ngx_http_blockcast_journal_own_regular(dir, s->name, O_RDONLY, &st);

    if (fd == -1) {

        if (ngx_errno == NGX_ENOENT) {
            return NGX_OK;
        }

        if (ngx_errno != 0) {
            ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                          "blockcast_state \"%V\" cannot be read", &s->path);

        } else {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "blockcast_state \"%V\" is %s, not a state file of "
                          "blockcast, and is left alone: move it away, or "
                          "name another file", &s->path,
                          ngx_http_blockcast_journal_own_kind(st.st_mode));
        }

        return NGX_ERROR;
    }

    n = pread(fd, head, sizeof(head), 0);

    (void) close(fd);

    if (n == -1 || !bc_journal_ours(head, (size_t) n)) {
        ngx_log_error(NGX_LOG_EMERG, log, (n == -1) ? ngx_errno : 0,
                      "blockcast_state \"%V\" is not a state file of "
                      "blockcast, and is left alone: move it away, or name "
                      "another file", &s->path);
        return NGX_ERROR;
    }

    if (n == 0) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "blockcast_state \"%V\" is empty, there is nothing to "
                      "go on with", &s->path);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_journal_own_check_lock(ngx_http_blockcast_journal_t *s,
    int dir, ngx_log_t *log)
{
    int          fd;
    char         owner[NGX_HTTP_BLOCKCAST_USER];
    char         user[NGX_HTTP_BLOCKCAST_USER];
    struct stat  st;
    const char  *why;

    fd = ngx_http_blockcast_journal_own_regular(dir, s->lockname, O_RDONLY,
                                                &st);

    if (fd == -1) {

        if (ngx_errno == NGX_ENOENT) {
            return NGX_OK;
        }

        if (ngx_errno != 0) {
            ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                          "\"%V.lock\" beside blockcast_state, of user %s, "
                          "cannot be opened by user %s", &s->path,
                          ngx_http_blockcast_journal_own_user_name(st.st_uid,
                                                                   owner),
                          ngx_http_blockcast_journal_own_user_name(geteuid(),
                                                                   user));
            return NGX_ERROR;
        }

        why = ngx_http_blockcast_journal_own_kind(st.st_mode);

    } else {
        why = ngx_http_blockcast_journal_own_lock_why(s, fd, &st);

        (void) close(fd);
    }

    if (why != NULL) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "\"%V.lock\" beside blockcast_state is %s (of user %s), "
                      "and is left alone: move it away, or name another state "
                      "file", &s->path, why,
                      ngx_http_blockcast_journal_own_user_name(st.st_uid,
                                                               owner));
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_journal_own_check(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_log_t *log)
{
    int                            dir;
    char                           user[NGX_HTTP_BLOCKCAST_USER];
    ngx_int_t                      rc;
    struct stat                    st;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    ngx_http_blockcast_journal_own_user_name(
                                        ngx_http_blockcast_journal_own_user(s),
                                        user);

    dir = open(s->folder, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (dir == -1 || fstat(dir, &st) == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "the folder \"%s\" of blockcast_state \"%V\" cannot be "
                      "opened: make it, for user %s", s->folder, &s->path,
                      user);

        if (dir != -1) {
            (void) close(dir);
        }

        return NGX_ERROR;
    }

    rc = NGX_OK;

    if (!ngx_http_blockcast_journal_own_writable(s, dir, &st)) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "the folder \"%s\" of blockcast_state \"%V\" cannot be "
                      "written to by the worker processes, user %s",
                      s->folder, &s->path,
                      user);
        rc = NGX_ERROR;
    }

    if (rc == NGX_OK) {
        rc = ngx_http_blockcast_journal_own_check_file(s, dir, log);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_blockcast_journal_own_check_lock(s, dir, log);
    }

    (void) close(dir);

    return rc;
}


ngx_int_t
ngx_http_blockcast_journal_own_set_aside(ngx_http_blockcast_journal_t *s,
    const char *name)
{
    /* not every libc has renameat2(); 1 is RENAME_NOREPLACE */

    if (syscall(SYS_renameat2, s->dir, s->name, s->dir, name, 1) == 0) {
        return NGX_OK;
    }

    if (ngx_errno != EINVAL && ngx_errno != ENOSYS) {
        return NGX_ERROR;
    }

    /* the file system cannot do that in one step */

    if (linkat(s->dir, s->name, s->dir, name, 0) == -1) {
        return NGX_ERROR;
    }

    return (unlinkat(s->dir, s->name, 0) == 0) ? NGX_OK : NGX_ERROR;
}


void
ngx_http_blockcast_journal_own_log_unreadable(
    ngx_http_blockcast_journal_t *s, int err)
{
    char               owner[NGX_HTTP_BLOCKCAST_USER];
    char               user[NGX_HTTP_BLOCKCAST_USER];
    struct stat        st;
    ngx_atomic_uint_t  logged;

    if (err == s->error || err == NGX_ENOENT) {
        return;
    }

    s->error = err;

    /* all workers get the same error: only one of them logs it */

    if (s->read_error != NULL) {
        logged = *s->read_error;

        if (logged == (ngx_atomic_uint_t) err
            || !ngx_atomic_cmp_set(s->read_error, logged,
                                   (ngx_atomic_uint_t) err))
        {
            return;
        }
    }

    if (err == NGX_EACCES && s->dir != -1
        && fstatat(s->dir, s->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
    {
        ngx_http_blockcast_journal_own_user_name(st.st_uid, owner);
        ngx_http_blockcast_journal_own_user_name(geteuid(), user);

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                      "blockcast: the state file \"%V\" is of user %s and "
                      "cannot be read by user %s, so this nginx cannot follow "
                      "the one that polls", &s->path, owner, user);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                  "blockcast: the state file \"%V\" cannot be read",
                  &s->path);
}


/*
 * Without the lock file a second nginx would not see that this one polls.  The
 * worker that leads creates it again and opens it for itself; at the next
 * reload the master opens it for all workers.
 */

ngx_uint_t
ngx_http_blockcast_journal_own_keep_lock(ngx_http_blockcast_journal_t *s,
    ngx_uint_t leads)
{
    int          fd, err;
    ngx_uint_t   gone;
    const char  *why;
    struct stat  ours, st;

    if (s->lock == -1 || s->dir == -1 || fstat(s->lock, &ours) == -1) {
        return 1;
    }

    gone = 0;

    if (fstatat(s->dir, s->lockname, &st, AT_SYMLINK_NOFOLLOW) == -1) {

        if (ngx_errno != NGX_ENOENT || !leads) {
            return 1;
        }

        gone = 1;

    } else if (st.st_ino == ours.st_ino && st.st_dev == ours.st_dev) {
        s->lock_loss_logged = 0;
        return 1;
    }

    fd = ngx_http_blockcast_journal_own_lock_open(s, gone, &why);

    if (fd == -1 || dup3(fd, s->lock, O_CLOEXEC) == -1) {
        err = (why == NULL) ? ngx_errno : 0;

        if (fd != -1) {
            (void) close(fd);
        }

        if (!s->lock_loss_logged) {
            s->lock_loss_logged = 1;

            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                          "blockcast: the lock file \"%V.lock\" was %s while "
                          "nginx runs%s%s: a second nginx polls, too; remove "
                          "what is there and reload nginx", &s->path,
                          gone ? "removed" : "replaced",
                          why ? " by " : "", why ? why : "");
        }

        return 1;
    }

    (void) close(fd);

    s->lock_loss_logged = 0;
    s->lock_private = 1;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "blockcast: the lock file \"%V.lock\" was %s while nginx "
                  "runs, a second nginx that was started since may poll, too; "
                  "%s, reload nginx",
                  &s->path, gone ? "removed" : "replaced",
                  gone ? "it is created again" : "the new one is used");

    return 0;
}
