
/*
 * The state file, at the interval: what takes as long as the disk does is done
 * by a thread, one at a time, for which the event loop does not wait.
 *
 * A new image is made in pieces, between which other events have their turn;
 * then the thread writes it; and what was appended to the journal since is
 * copied behind it in pieces, until nothing is left and the new file can take
 * the old one's place.
 *
 * When there is no file to append to in the meantime, or a record is missing
 * in it, a file without a name is appended to (journal->scratch): the death of
 * all processes would lose what is in it, but not the death of this one, as
 * the next one begins with an image of the zone.
 */


#include "ngx_http_blockcast_journal_sync.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_journal_file.h"
#include "ngx_http_blockcast_journal_image.h"
#include "ngx_http_blockcast_journal_note.h"
#include "ngx_http_blockcast_journal_own.h"

#include <fcntl.h>
#include <pthread.h>


/* bytes by which the file may exceed twice its image */
#define NGX_HTTP_BLOCKCAST_JOURNAL_ROOM  (1024 * 1024)

/* bytes that are copied at a time, and for how long in a turn (usec) */
#define NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_PIECE  65536
#define NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_TIME   500

/* from which size on an image is made in pieces when there is none (bytes) */
#define NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_LARGE  (1024 * 1024)

/* how long the end of a worker may wait for the thread (msec) */
#define NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_END    200

/* turns of copying after which that time is twice as long: it comes to an end,
   however fast others append */
#define NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_TURNS  64


typedef enum {
    ngx_http_blockcast_journal_job_image = 0,   /* is made */
    ngx_http_blockcast_journal_job_thread,
    ngx_http_blockcast_journal_job_rest         /* is copied */
} ngx_http_blockcast_journal_job_step_e;


/*
 * A job of the thread, which touches nothing else and does not log.  It sets
 * `done` last; until then the event loop leaves the job alone.
 */

struct ngx_http_blockcast_journal_job_s {
    ngx_http_blockcast_journal_job_step_e  step;
    int                           fd;
    int                           dir;
    int                           lock;
    int                           err;
    char                          temp[NGX_MAX_PATH];
    const char                   *what;
    ngx_http_blockcast_journal_image_t  *image;  /* of the thread, then */
    off_t                         image_size;   /* 0: just a sync */
    uint64_t                      since;
    off_t                         from;         /* what was appended since the
                                                   image was begun, and not
                                                   copied yet */
    ngx_uint_t                    turns;        /* of copying */
    ngx_uint_t                    unsynced;
    ngx_uint_t                    given_up;
    ngx_atomic_t                  done;
};


static void ngx_http_blockcast_journal_sync_event_handler(ngx_event_t *ev);


static ngx_event_t       ngx_http_blockcast_journal_sync_event;
static ngx_connection_t  ngx_http_blockcast_journal_sync_dummy;

static ngx_http_blockcast_main_conf_t  *ngx_http_blockcast_journal_sync_conf;


static void *
ngx_http_blockcast_journal_sync_thread(void *data)
{
    ngx_http_blockcast_journal_job_t *job = data;

    if (job->image_size != 0) {
        if (job->lock != -1) {
            (void) fdatasync(job->lock);
        }

        job->fd = ngx_http_blockcast_journal_file_write_temp(
                                        job->dir, job->temp, job->image,
                                        &job->what);
        job->image = NULL;
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
    if (job->image != NULL) {
        ngx_http_blockcast_journal_image_free(job->image);
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


/* Has a thread do what takes long; NGX_ERROR: there is none. */

static ngx_int_t
ngx_http_blockcast_journal_sync_job_thread(
    ngx_http_blockcast_journal_job_t *job)
{
    int             rc;
    sigset_t        all, old;
    pthread_t       tid;
    pthread_attr_t  attr;

    job->step = ngx_http_blockcast_journal_job_thread;

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

    return (rc == 0) ? NGX_OK : NGX_ERROR;
}


/* Has the event loop go on with the job in its next turn. */

static void
ngx_http_blockcast_journal_sync_post(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_event_t  *ev;

    ev = &ngx_http_blockcast_journal_sync_event;

    if (ev->handler == NULL) {

        /* debug logging reads the descriptor of an event's connection */

        ngx_http_blockcast_journal_sync_dummy.fd = (ngx_socket_t) -1;

        ev->handler = ngx_http_blockcast_journal_sync_event_handler;
        ev->data = &ngx_http_blockcast_journal_sync_dummy;
    }

    ngx_http_blockcast_journal_sync_conf = bmcf;
    ev->log = ngx_cycle->log;

    if (!ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


/*
 * Begins a job: with an image, which is begun or NULL, without one of a sync.
 * The image is the caller's again when it fails.
 */

static ngx_int_t
ngx_http_blockcast_journal_sync_job_start(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_journal_image_t *image)
{
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

    if (image != NULL) {
        ngx_http_blockcast_journal_file_temp_name(s, job->temp);

    } else {
        job->fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
    }

    if (job->dir == -1 || (image == NULL && job->fd == -1)) {
        ngx_http_blockcast_journal_sync_job_free(job);
        return NGX_ERROR;
    }

    job->image = image;

    job->since = ngx_http_blockcast_zone_usec();
    job->from = s->size;
    job->unsynced = s->unsynced;

    if (image != NULL) {
        ngx_http_blockcast_journal_sync_post(bmcf);

    } else if (ngx_http_blockcast_journal_sync_job_thread(job) != NGX_OK) {
        ngx_http_blockcast_journal_sync_job_free(job);
        return NGX_ERROR;
    }

    s->job = job;

    return NGX_OK;
}


/* Goes on with an image; the job may be over then. */

static void
ngx_http_blockcast_journal_sync_job_image(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_int_t                          rc;
    ngx_http_blockcast_journal_t      *s;
    ngx_http_blockcast_journal_job_t  *job;

    s = bmcf->journal;
    job = s->job;

    rc = ngx_http_blockcast_journal_image_go_on(
                             job->image, NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_TIME);

    if (rc == NGX_AGAIN) {
        ngx_http_blockcast_journal_sync_post(bmcf);
        return;
    }

    if (rc == NGX_ERROR) {
        s->job = NULL;
        ngx_http_blockcast_journal_sync_job_free(job);
        ngx_http_blockcast_journal_file_fail(s, "making an image",
                                             NGX_ENOMEM);
        return;
    }

    ngx_http_blockcast_journal_file_image_end(bmcf, job->image);

    job->image_size = job->image->size;

    /* what takes long is the disk now */

    job->since = ngx_http_blockcast_zone_usec();

    if (ngx_http_blockcast_journal_sync_job_thread(job) != NGX_OK) {
        (void) ngx_http_blockcast_journal_sync_thread(job);
    }
}


/*
 * Appends to the new image what the journal has got in the meantime, for a
 * while; with all of it there the new file takes the old one's place.
 */

static void
ngx_http_blockcast_journal_sync_job_rest(ngx_http_blockcast_main_conf_t *bmcf)
{
    int                                fd, err;
    ssize_t                            n;
    uint64_t                           began, time;
    ngx_http_blockcast_journal_t      *s;
    ngx_http_blockcast_journal_job_t  *job;

    static u_char  buf[NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_PIECE];

    s = bmcf->journal;
    job = s->job;

    began = ngx_http_blockcast_zone_usec();
    time = NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_TIME;
    time += time * job->turns++ / NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_TURNS;

    while (job->from < s->size) {

        if (ngx_http_blockcast_zone_usec() - began >= time) {
            ngx_http_blockcast_journal_sync_post(bmcf);
            return;
        }

        n = pread(s->fd, buf,
                  ngx_min((off_t) sizeof(buf), s->size - job->from),
                  job->from);

        if (n <= 0 || write(job->fd, buf, n) != n) {
            err = ngx_errno;
            s->job = NULL;
            (void) unlinkat(job->dir, job->temp, 0);
            ngx_http_blockcast_journal_sync_job_free(job);
            ngx_http_blockcast_journal_file_fail(s, "write()", err);
            return;
        }

        job->from += n;

        ngx_http_blockcast_test_moment("image: a piece of the rest");
    }

    s->job = NULL;
    fd = job->fd;
    job->fd = -1;

    (void) ngx_http_blockcast_journal_file_replace(bmcf, fd, job->temp,
                                                   job->image_size);
    ngx_http_blockcast_journal_sync_job_free(job);
}


/*
 * Tells whether a job is of no use any more: this worker stopped polling, or a
 * record could not be written.
 */

static ngx_uint_t
ngx_http_blockcast_journal_sync_job_useless(ngx_http_blockcast_journal_t *s)
{
    return s->job->given_up || !s->ready || s->incomplete || s->fd == -1;
}


static void
ngx_http_blockcast_journal_sync_job_drop(ngx_http_blockcast_journal_t *s)
{
    ngx_http_blockcast_journal_job_t  *job;

    job = s->job;
    s->job = NULL;

    if (job->image_size != 0 && job->fd != -1) {
        (void) unlinkat(job->dir, job->temp, 0);
    }

    ngx_http_blockcast_journal_sync_job_free(job);
}


static void
ngx_http_blockcast_journal_sync_event_handler(ngx_event_t *ev)
{
    ngx_http_blockcast_journal_t    *s;
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_blockcast_journal_sync_conf;
    s = bmcf->journal;

    if (s->job == NULL
        || s->job->step == ngx_http_blockcast_journal_job_thread)
    {
        return;
    }

    if (ngx_http_blockcast_journal_sync_job_useless(s)) {
        ngx_http_blockcast_journal_sync_job_drop(s);

    } else if (s->job->step == ngx_http_blockcast_journal_job_image) {
        ngx_http_blockcast_journal_sync_job_image(bmcf);

    } else {
        ngx_http_blockcast_journal_sync_job_rest(bmcf);
    }
}


void
ngx_http_blockcast_journal_sync_job(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_journal_job_t  *job;
    ngx_http_blockcast_journal_t      *s;

    s = bmcf->journal;

    if (s == NULL || s->job == NULL) {
        return;
    }

    job = s->job;

    if (job->step == ngx_http_blockcast_journal_job_thread) {

        if (!job->done) {
            return;
        }

        ngx_memory_barrier();
    }

    if (ngx_http_blockcast_journal_sync_job_useless(s)) {
        ngx_http_blockcast_journal_sync_job_drop(s);
        return;
    }

    if (job->step != ngx_http_blockcast_journal_job_thread) {
        return;
    }

    ngx_http_blockcast_journal_file_log_slow(s, job->since,
                                             ngx_max(s->interval, 1000),
                                          ", a power loss may lose as much");

    if (job->err == 0 && job->image_size != 0) {
        job->step = ngx_http_blockcast_journal_job_rest;
        ngx_http_blockcast_journal_sync_job_rest(bmcf);
        return;
    }

    s->job = NULL;

    if (job->err != 0) {
        ngx_http_blockcast_journal_file_fail(s, job->what, job->err);

    } else {
        s->unsynced -= ngx_min(s->unsynced, job->unsynced);
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


/*
 * Has what is published from now on appended to a file without a name.  It is
 * in the folder, as that is where there should be room.
 */

static ngx_int_t
ngx_http_blockcast_journal_sync_scratch(ngx_http_blockcast_journal_t *s)
{
    int   fd;
    char  temp[NGX_MAX_PATH];

    ngx_http_blockcast_journal_file_temp_name(s, temp);

    if (ngx_http_blockcast_journal_own_replaceable(s->dir, temp)) {
        (void) unlinkat(s->dir, temp, 0);
    }

    fd = openat(s->dir, temp,
                O_RDWR|O_CREAT|O_EXCL|O_APPEND|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == -1) {
        return NGX_ERROR;
    }

    (void) unlinkat(s->dir, temp, 0);

    if (s->fd != -1) {
        (void) close(s->fd);
    }

    s->fd = fd;
    s->inode = 0;
    s->size = 0;
    s->image_size = 0;
    s->ahead = 0;
    s->ahead_of = NULL;
    s->unsynced = 0;
    s->incomplete = 0;
    s->scratch = 1;

    return NGX_OK;
}


void
ngx_http_blockcast_journal_sync_renew(ngx_http_blockcast_main_conf_t *bmcf)
{
    size_t                               size;
    ngx_int_t                            rc;
    ngx_http_blockcast_journal_t        *s;
    ngx_http_blockcast_journal_image_t  *image;

    s = bmcf->journal;

    if (ngx_http_blockcast_journal_file_folder(s) == -1) {
        ngx_http_blockcast_journal_file_fail(s, "open()", ngx_errno);
        return;
    }

    image = ngx_http_blockcast_journal_image_begin(bmcf->zone, 1);
    rc = (image != NULL) ? NGX_AGAIN : NGX_ERROR;

    while (rc == NGX_AGAIN) {
        rc = ngx_http_blockcast_journal_image_go_on(image, 0);

        size = image->size + ((image->record != NULL) ? image->record_len : 0);

        if (rc == NGX_AGAIN && size > NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_LARGE) {

            /* the file on the disk, if any, lacks what comes now */

            ngx_http_blockcast_journal_note_set_incomplete(s->lock, 1);

            if (ngx_http_blockcast_journal_sync_scratch(s) == NGX_OK) {

                if (ngx_http_blockcast_journal_sync_job_start(bmcf, image)
                    == NGX_OK)
                {
                    return;
                }

                s->scratch = 0;
                s->incomplete = 1;
            }

            rc = ngx_http_blockcast_journal_image_go_on(image, (uint64_t) -1);
        }
    }

    if (rc == NGX_OK) {
        ngx_http_blockcast_journal_file_write_image(bmcf, image);
        return;
    }

    if (image != NULL) {
        ngx_http_blockcast_journal_image_free(image);
    }

    ngx_http_blockcast_journal_file_fail(s, "making an image", NGX_ENOMEM);
}


/*
 * Waits until the thread is done, but not longer than msec.
 */

static void
ngx_http_blockcast_journal_sync_await(ngx_http_blockcast_journal_t *s,
    ngx_msec_t msec)
{
    ngx_msec_t  waited;

    for (waited = 0; !s->job->done && waited < msec; waited++) {
        ngx_msleep(1);
    }

    ngx_memory_barrier();
}


void
ngx_http_blockcast_journal_sync_finish(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    ngx_http_blockcast_lease_extend(bmcf->zone, 10000);

    while (s->scratch && s->job != NULL && !s->incomplete) {

        if (s->job->step == ngx_http_blockcast_journal_job_image) {
            ngx_http_blockcast_journal_sync_job_image(bmcf);

        } else if (s->job->step == ngx_http_blockcast_journal_job_rest) {
            ngx_http_blockcast_journal_sync_job_rest(bmcf);

        } else {
            ngx_http_blockcast_journal_sync_await(s, (ngx_msec_t) -1);
            ngx_http_blockcast_journal_sync_job(bmcf);
        }
    }

    ngx_http_blockcast_lease_extend(bmcf->zone, 0);
}


void
ngx_http_blockcast_journal_sync_job_end(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if (s->job == NULL) {
        return;
    }

    if (s->job->step == ngx_http_blockcast_journal_job_thread) {

        ngx_http_blockcast_journal_sync_await(
                                     s, NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_END);

        if (!s->job->done) {

            /* the thread ends with the process; what it writes is removed by
               the next start */

            return;
        }
    }

    ngx_http_blockcast_journal_sync_job_drop(s);
}


void
ngx_http_blockcast_journal_sync(ngx_http_blockcast_main_conf_t *bmcf)
{
    struct stat                          st;
    ngx_http_blockcast_journal_t        *s;
    ngx_http_blockcast_journal_image_t  *image;

    s = bmcf->journal;

    ngx_http_blockcast_journal_sync_moved(s);

    if (s->scratch && s->job != NULL
        && !ngx_http_blockcast_journal_sync_job_useless(s))
    {
        /* a new image is on its way */
        return;
    }

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
            ngx_http_blockcast_journal_sync_renew(bmcf);
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

        image = ngx_http_blockcast_journal_image_begin(bmcf->zone, 1);

        if (image == NULL
            || ngx_http_blockcast_journal_sync_job_start(bmcf, image)
               != NGX_OK)
        {
            if (image != NULL) {
                ngx_http_blockcast_journal_image_free(image);
            }

            ngx_http_blockcast_journal_file_write(bmcf);
        }

        return;
    }

    if (s->unsynced == 0
        || ngx_http_blockcast_journal_sync_job_start(bmcf, NULL) == NGX_OK)
    {
        return;
    }

    if (fdatasync(s->fd) == -1) {
        ngx_http_blockcast_journal_file_fail(s, "fdatasync()", ngx_errno);
        return;
    }

    s->unsynced = 0;
}
