
/*
 * Syncs of the state file and its new images, at the interval: a thread, one
 * at a time, waits for the disk, and the event loop does not.
 */


#include "ngx_http_blockcast_journal_sync.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_journal_file.h"

#include <fcntl.h>
#include <pthread.h>


/* bytes by which the file may exceed twice its image */
#define NGX_HTTP_BLOCKCAST_JOURNAL_ROOM  (1024 * 1024)


/*
 * A job of the thread, which touches nothing else and does not log.  It sets
 * `done` last; until then the event loop leaves the job alone.
 */

struct ngx_http_blockcast_journal_job_s {
    int                           fd;
    int                           dir;
    int                           lock;
    int                           err;
    char                          temp[NGX_MAX_PATH];
    const char                   *what;
    ngx_str_t                     image;        /* len 0: just a sync */
    uint64_t                      since;
    off_t                         from;         /* what was appended since */
    ngx_uint_t                    unsynced;
    ngx_uint_t                    given_up;
    ngx_atomic_t                  done;
};


static void *
ngx_http_blockcast_journal_sync_thread(void *data)
{
    ngx_http_blockcast_journal_job_t *job = data;

    if (job->image.len != 0) {
        if (job->lock != -1) {
            (void) fdatasync(job->lock);
        }

        job->fd = ngx_http_blockcast_journal_file_write_temp(
                                        job->dir, job->temp, &job->image,
                                        &job->what);
        job->err = (job->fd == -1) ? ngx_errno : 0;

    } else {
        job->what = "fdatasync()";
        job->err = (fdatasync(job->fd) == -1) ? ngx_errno : 0;

        /* sync the name of a new file, too */

        (void) fsync(job->dir);
    }

    ngx_memory_barrier();

    job->done = 1;

    return NULL;
}


static void
ngx_http_blockcast_journal_sync_job_free(ngx_http_blockcast_journal_job_t *job)
{
    if (job->image.data != NULL) {
        ngx_free(job->image.data);
    }

    if (job->fd != -1) {
        (void) close(job->fd);
    }

    if (job->dir != -1) {
        (void) close(job->dir);
    }

    if (job->lock != -1) {
        (void) close(job->lock);
    }

    ngx_free(job);
}


static ngx_int_t
ngx_http_blockcast_journal_sync_job_start(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_uint_t image)
{
    int                                rc;
    sigset_t                           all, old;
    pthread_t                          tid;
    pthread_attr_t                     attr;
    ngx_http_blockcast_journal_job_t  *job;
    ngx_http_blockcast_journal_t      *s;

    s = bmcf->journal;

    job = ngx_calloc(sizeof(ngx_http_blockcast_journal_job_t), ngx_cycle->log);
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->fd = -1;
    job->lock = -1;
    job->dir = fcntl(s->dir, F_DUPFD_CLOEXEC, 0);

    if (image) {
        if (ngx_http_blockcast_journal_file_make_image(bmcf, &job->image,
                                                       job->temp)
            != NGX_OK)
        {
            ngx_http_blockcast_journal_sync_job_free(job);
            return NGX_ERROR;
        }

    } else {
        job->fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
    }

    if (job->dir == -1 || (!image && job->fd == -1)) {
        ngx_http_blockcast_journal_sync_job_free(job);
        return NGX_ERROR;
    }

    job->since = ngx_http_blockcast_zone_usec();
    job->from = s->size;
    job->unsynced = s->unsynced;

    /* leave signals to the event loop's thread */

    sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &old);

    rc = pthread_attr_init(&attr);

    if (rc == 0) {
        (void) pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        rc = pthread_create(&tid, &attr,
                            ngx_http_blockcast_journal_sync_thread, job);
        (void) pthread_attr_destroy(&attr);
    }

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (rc != 0) {
        ngx_http_blockcast_journal_sync_job_free(job);
        return NGX_ERROR;
    }

    s->job = job;

    return NGX_OK;
}


/* Appends to the new image what the journal got while it was written. */

static ngx_int_t
ngx_http_blockcast_journal_sync_job_rest(ngx_http_blockcast_journal_t *s,
    ngx_http_blockcast_journal_job_t *job)
{
    off_t    pos;
    u_char   buf[16384];
    ssize_t  n;

    for (pos = job->from; pos < s->size; pos += n) {
        n = pread(s->fd, buf,
                  ngx_min((off_t) sizeof(buf), s->size - pos), pos);

        if (n <= 0 || write(job->fd, buf, n) != n) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_blockcast_journal_sync_job(ngx_http_blockcast_main_conf_t *bmcf)
{
    int                                fd;
    ngx_http_blockcast_journal_job_t  *job;
    ngx_http_blockcast_journal_t      *s;

    s = bmcf->journal;

    if (s == NULL || s->job == NULL || !s->job->done) {
        return;
    }

    ngx_memory_barrier();

    job = s->job;
    s->job = NULL;

    if (job->given_up || !s->ready || s->incomplete || s->fd == -1) {

        /* this worker has stopped polling, or a record could not be written */

        if (job->image.len != 0 && job->fd != -1) {
            (void) unlinkat(job->dir, job->temp, 0);
        }

        ngx_http_blockcast_journal_sync_job_free(job);
        return;
    }

    ngx_http_blockcast_journal_file_log_slow(s, job->since,
                                             ngx_max(s->interval, 1000),
                                          ", a power loss may lose as much");

    if (job->err != 0) {
        ngx_http_blockcast_journal_file_fail(s, job->what, job->err);

    } else if (job->image.len == 0) {
        s->unsynced -= ngx_min(s->unsynced, job->unsynced);

    } else if (ngx_http_blockcast_journal_sync_job_rest(s, job) != NGX_OK) {
        (void) unlinkat(job->dir, job->temp, 0);
        ngx_http_blockcast_journal_file_fail(s, "write()", ngx_errno);

    } else {
        fd = job->fd;
        job->fd = -1;

        (void) ngx_http_blockcast_journal_file_replace(bmcf, fd, job->temp,
                                                       job->image.len);
    }

    ngx_http_blockcast_journal_sync_job_free(job);
}


void
ngx_http_blockcast_journal_sync_job_leave(ngx_http_blockcast_journal_t *s)
{
    if (s->job != NULL) {
        s->job->given_up = 1;
    }
}


/*
 * Closes the folder if its path now leads elsewhere.  A folder that this user
 * cannot stat() stays open as the master opened it.
 */

static void
ngx_http_blockcast_journal_sync_moved(ngx_http_blockcast_journal_t *s)
{
    struct stat  ours, st;

    if (s->dir == -1 || fstat(s->dir, &ours) == -1) {
        return;
    }

    if (stat(s->folder, &st) == -1) {
        if (ngx_errno != NGX_ENOENT) {
            return;
        }

    } else if (st.st_ino == ours.st_ino && st.st_dev == ours.st_dev) {
        return;
    }

    (void) close(s->dir);
    s->dir = -1;
}


void
ngx_http_blockcast_journal_sync(ngx_http_blockcast_main_conf_t *bmcf)
{
    struct stat                    st;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    ngx_http_blockcast_journal_sync_moved(s);

    if (s->fd == -1
        || s->dir == -1
        || s->incomplete
        || fstatat(s->dir, s->name, &st, AT_SYMLINK_NOFOLLOW) == -1
        || st.st_ino != s->inode
        || st.st_size != s->size + s->ahead)
    {
        /* the thread may be writing a temporary file of the same name */

        ngx_http_blockcast_journal_sync_job_leave(s);

        if (s->job == NULL) {
            ngx_http_blockcast_journal_file_write(bmcf);
        }

        return;
    }

    if (s->job != NULL) {

        if (s->unsynced >= NGX_HTTP_BLOCKCAST_JOURNAL_RESERVE * 9 / 10
            && fdatasync(s->fd) == 0)
        {
            /* too many records were not on the disk: this has waited for it */

            s->unsynced = 0;
        }

        return;
    }

    if (s->size > 2 * s->image_size + NGX_HTTP_BLOCKCAST_JOURNAL_ROOM) {

        if (ngx_http_blockcast_journal_sync_job_start(bmcf, 1) != NGX_OK) {
            ngx_http_blockcast_journal_file_write(bmcf);
        }

        return;
    }

    if (s->unsynced == 0
        || ngx_http_blockcast_journal_sync_job_start(bmcf, 0) == NGX_OK)
    {
        return;
    }

    if (fdatasync(s->fd) == -1) {
        ngx_http_blockcast_journal_file_fail(s, "fdatasync()", ngx_errno);
        return;
    }

    s->unsynced = 0;
}
