
/*
 * The state file itself: reading, appending, a new image.
 */


#include "ngx_http_blockcast_journal_file.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_journal_codec.h"
#include "ngx_http_blockcast_journal_image.h"
#include "ngx_http_blockcast_journal_note.h"
#include "ngx_http_blockcast_journal_own.h"
#include "bc_journal.h"

#include <dirent.h>
#include <fcntl.h>


/* a larger file is not one of ours (bytes) */
#define NGX_HTTP_BLOCKCAST_JOURNAL_LARGEST  (1024 * 1024 * 1024)

/* a write that takes longer is logged (msec), once per interval (sec) */
#define NGX_HTTP_BLOCKCAST_SLOW           100
#define NGX_HTTP_BLOCKCAST_SLOW_AGAIN     60


static void ngx_http_blockcast_journal_file_boot(u_char *boot);


/*
 * Opens the folder in the master, whose rights may be needed to get there.
 */

int
ngx_http_blockcast_journal_file_folder(ngx_http_blockcast_journal_t *s)
{
    if (s->dir == -1) {
        s->dir = open(s->folder, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    }

    return s->dir;
}


void
ngx_http_blockcast_journal_file_close(ngx_http_blockcast_journal_t *s)
{
    if (s->read_fd != -1) {
        (void) close(s->read_fd);
        s->read_fd = -1;
    }
}


static ngx_int_t
ngx_http_blockcast_journal_file_pread(int fd, u_char *p, size_t size,
    off_t offset, size_t *len)
{
    ssize_t  n;

    *len = 0;

    while (*len < size) {
        n = pread(fd, p + *len, size - *len, offset + (off_t) *len);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n == -1) {
            return NGX_ERROR;
        }

        if (n == 0) {
            break;
        }

        *len += n;
    }

    return NGX_OK;
}


/*
 * Opens the file in place of the one read so far and reads its header; *st
 * describes it.  Returns what _read() returns.
 */

static ngx_int_t
ngx_http_blockcast_journal_file_open(ngx_http_blockcast_journal_t *s,
    struct stat *st, bc_journal_header_t *h, const char **why)
{
    int     fd;
    u_char  head[BC_JOURNAL_HEADER];
    size_t  n;

    fd = openat(s->dir, s->name, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    if (fd == -1 || fstat(fd, st) == -1) {
        ngx_http_blockcast_journal_own_log_unreadable(s, ngx_errno);

        if (fd != -1) {
            (void) close(fd);
        }

        return NGX_DECLINED;
    }

    ngx_http_blockcast_journal_file_close(s);

    /* an invalid file is not read again until another one replaces it */

    s->read_fd = fd;
    s->read_inode = st->st_ino;
    s->read_offset = NGX_MAX_OFF_T_VALUE;
    s->other_epoch = 0;
    s->intact = 0;
    s->not_ours = 0;

    if (s->read_error != NULL) {
        *s->read_error = 0;
    }

    if (!S_ISREG(st->st_mode)) {
        s->not_ours = 1;
        *why = "not a regular file";
        return NGX_ERROR;
    }

    if (st->st_size == 0) {

        /* an empty file: the first image will replace it */

        return NGX_DECLINED;
    }

    if (ngx_http_blockcast_journal_file_pread(fd, head, BC_JOURNAL_HEADER, 0,
                                              &n)
        != NGX_OK)
    {
        ngx_http_blockcast_journal_own_log_unreadable(s, ngx_errno);
        return NGX_DECLINED;
    }

    if (bc_journal_header_get(head, n < BC_JOURNAL_HEADER
                                    ? n : (uint64_t) st->st_size, h, why)
        != 0)
    {
        s->not_ours = !bc_journal_ours(head, n);
        return NGX_ERROR;
    }

    s->read_offset = BC_JOURNAL_HEADER;

    return NGX_OK;
}


/* Returns from where the file is to be read that was just opened. */

static off_t
ngx_http_blockcast_journal_file_begin(ngx_http_blockcast_zone_t *zone,
    bc_journal_header_t *h, struct stat *st)
{
    off_t                             mark;
    ngx_http_blockcast_zone_shctx_t  *sh;

    if (zone == NULL) {
        return BC_JOURNAL_HEADER;
    }

    sh = zone->sh;
    mark = (off_t) sh->file_mark;

    return (sh->file_inode == (ngx_atomic_uint_t) st->st_ino
            && sh->file_image == BC_JOURNAL_HEADER + h->image
            && sh->epoch == h->epoch
            && (uint64_t) mark >= sh->file_image
            && mark <= st->st_size)
           ? mark : BC_JOURNAL_HEADER;
}


ngx_int_t
ngx_http_blockcast_journal_file_read(ngx_http_blockcast_journal_t *s,
    ngx_http_blockcast_zone_t *zone, u_char **data, size_t *len,
    bc_journal_header_t *h, const char **why)
{
    u_char       *p;
    off_t         from;
    size_t        n;
    ngx_int_t     rc;
    ngx_uint_t    fresh;
    struct stat   st;

    if (ngx_http_blockcast_journal_file_folder(s) == -1
        || fstatat(s->dir, s->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
    {
        ngx_http_blockcast_journal_own_log_unreadable(s, ngx_errno);
        return NGX_DECLINED;
    }

    fresh = (s->read_fd == -1 || st.st_ino != s->read_inode);

    if (!fresh && st.st_size <= s->read_offset) {
        return NGX_DECLINED;
    }

    if (fresh) {
        rc = ngx_http_blockcast_journal_file_open(s, &st, h, why);

        if (rc != NGX_OK) {
            return rc;
        }

        s->read_offset = ngx_http_blockcast_journal_file_begin(zone, h, &st);
    }

    from = s->read_offset;

    if (st.st_size - from > NGX_HTTP_BLOCKCAST_JOURNAL_LARGEST) {
        s->read_offset = NGX_MAX_OFF_T_VALUE;
        *why = "too large";
        return NGX_ERROR;
    }

    n = (size_t) (st.st_size - from);

    p = ngx_alloc(n + 1, ngx_cycle->log);
    if (p == NULL) {
        ngx_http_blockcast_journal_file_close(s);
        return NGX_DECLINED;
    }

    if (ngx_http_blockcast_journal_file_pread(s->read_fd, p, n, from, len)
        != NGX_OK)
    {
        ngx_http_blockcast_journal_own_log_unreadable(s, ngx_errno);
        ngx_free(p);
        ngx_http_blockcast_journal_file_close(s);
        return NGX_DECLINED;
    }

    if (fresh && from == BC_JOURNAL_HEADER
        && (*len < h->image || !bc_journal_whole(p, h->image)))
    {
        ngx_free(p);
        s->read_offset = NGX_MAX_OFF_T_VALUE;
        *why = "damaged";
        return NGX_ERROR;
    }

    if (fresh) {
        s->intact = ngx_http_blockcast_journal_file_same_boot(h);
        s->read_image_size = BC_JOURNAL_HEADER + h->image;
    }

    *data = p;

    return fresh ? NGX_OK : NGX_DONE;
}


void
ngx_http_blockcast_journal_file_tail(ngx_http_blockcast_journal_t *s,
    u_char *data, size_t len, ngx_http_blockcast_journal_tail_t *tail)
{
    int                   rc;
    uint64_t              sec;
    const u_char         *p;
    bc_journal_record_t   r;

    ngx_memzero(tail, sizeof(ngx_http_blockcast_journal_tail_t));

    p = data;

    while ((rc = bc_journal_next(&p, data + len, &r)) == 1) {
        tail->closed = (r.type == bc_journal_closed);

        sec = ngx_max(r.time, r.polled / 1000);
        tail->newest = ngx_max(tail->newest, sec);
    }

    if (rc != 0) {
        tail->closed = 0;
        tail->bad = (rc == BC_JOURNAL_BAD);
    }

    tail->good = p - data;
    s->read_offset += tail->good;
}


void
ngx_http_blockcast_journal_file_refuse(ngx_http_blockcast_journal_t *s,
    const char *why, ngx_uint_t aside)
{
    char         name[NGX_MAX_PATH];
    u_char      *last;
    ngx_int_t    rc;
    ngx_uint_t   i;

    if (!aside || s->not_ours) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "blockcast: the state file \"%V\" is %s, it is not "
                      "used%s", &s->path, why,
                      s->not_ours ? " and left alone" : "");
        return;
    }

    rc = NGX_ERROR;
    last = (u_char *) name + NGX_MAX_PATH - 1;

    for (i = 0; i < 1000; i++) {
        if (i == 0) {
            *ngx_snprintf((u_char *) name, last - (u_char *) name,
                          "%s.damaged", s->name) = '\0';

        } else {
            *ngx_snprintf((u_char *) name, last - (u_char *) name,
                          "%s.damaged.%ui", s->name, i) = '\0';
        }

        rc = ngx_http_blockcast_journal_own_set_aside(s, name);

        if (rc == NGX_OK || ngx_errno != NGX_EEXIST) {
            break;
        }
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "blockcast: the state file \"%V\" is %s, it is not "
                      "used; renaming it to \"%s\" failed",
                      &s->path, why, name);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "blockcast: the state file \"%V\" is %s, it is not used and "
                  "was renamed to \"%s\"", &s->path, why, name);
}


void
ngx_http_blockcast_journal_file_clean(ngx_http_blockcast_journal_t *s)
{
    int             fd;
    DIR            *dir;
    char           *p;
    size_t          len;
    ngx_int_t       pid;
    struct dirent  *de;

    if (ngx_http_blockcast_journal_file_folder(s) == -1) {
        return;
    }

    /* reading moves the position, so use a descriptor of our own */

    fd = openat(s->dir, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    dir = (fd != -1) ? fdopendir(fd) : NULL;

    if (dir == NULL) {
        if (fd != -1) {
            (void) close(fd);
        }

        return;
    }

    len = ngx_strlen(s->name);

    while ((de = readdir(dir)) != NULL) {

        /* NAME.PID.tmp */

        if (ngx_strncmp(de->d_name, s->name, len) != 0
            || de->d_name[len] != '.')
        {
            continue;
        }

        p = strchr(de->d_name + len + 1, '.');

        if (p == NULL || ngx_strcmp(p, ".tmp") != 0) {
            continue;
        }

        pid = ngx_atoi((u_char *) de->d_name + len + 1,
                       p - (de->d_name + len + 1));

        if (pid > 0 && kill((ngx_pid_t) pid, 0) == -1
            && ngx_errno == NGX_ESRCH
            && ngx_http_blockcast_journal_own_replaceable(s->dir, de->d_name))
        {
            (void) unlinkat(s->dir, de->d_name, 0);
        }
    }

    (void) closedir(dir);
}


/* Reads the kernel's id of this boot: what was written since is not lost. */

static void
ngx_http_blockcast_journal_file_boot(u_char *boot)
{
    int         fd;
    u_char      text[64];
    ssize_t     n;
    ngx_int_t   c;
    ngx_uint_t  i, nibbles;

    ngx_memzero(boot, BC_JOURNAL_BOOT);

    fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return;
    }

    n = read(fd, text, sizeof(text));
    (void) close(fd);

    nibbles = 0;

    for (i = 0; (ssize_t) i < n && nibbles < 2 * BC_JOURNAL_BOOT; i++) {
        if (text[i] == '-') {
            continue;
        }

        c = ngx_hextoi(&text[i], 1);
        if (c == NGX_ERROR) {
            break;
        }

        boot[nibbles / 2] |= c << (nibbles % 2 ? 0 : 4);
        nibbles++;
    }
}


ngx_uint_t
ngx_http_blockcast_journal_file_same_boot(bc_journal_header_t *h)
{
    u_char         boot[BC_JOURNAL_BOOT];
    static u_char  none[BC_JOURNAL_BOOT];

    ngx_http_blockcast_journal_file_boot(boot);

    return ngx_memcmp(boot, none, BC_JOURNAL_BOOT) != 0
           && ngx_memcmp(boot, h->boot, BC_JOURNAL_BOOT) == 0;
}


void
ngx_http_blockcast_journal_file_fail(ngx_http_blockcast_journal_t *s,
    const char *what, int err)
{
    if (!s->incomplete) {
        s->incomplete = 1;
        ngx_http_blockcast_journal_note_set_incomplete(s->lock, 1);
    }

    if (err != s->error) {
        s->error = err;

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                      "blockcast: %s of the state file \"%V\" failed, "
                      "what is published now would be lost in a crash",
                      what, &s->path);
    }
}


static void
ngx_http_blockcast_journal_file_log_recovered(ngx_http_blockcast_journal_t *s)
{
    if (s->error != 0) {
        s->error = 0;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: the state file \"%V\" is written again",
                      &s->path);
    }
}


void
ngx_http_blockcast_journal_file_log_slow(ngx_http_blockcast_journal_t *s,
    uint64_t since, ngx_msec_t limit, const char *consequence)
{
    uint64_t       took;
    static time_t  logged;

    took = (ngx_http_blockcast_zone_usec() - since) / 1000;

    if (took > limit && ngx_time() - logged >= NGX_HTTP_BLOCKCAST_SLOW_AGAIN) {
        logged = ngx_time();

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: writing the state file \"%V\" took %uL ms%s",
                      &s->path, took, consequence);
    }
}


void
ngx_http_blockcast_journal_file_append(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_str_t *record)
{
    int                            err;
    size_t                         done;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if (!s->ready || s->incomplete) {
        return;
    }

    if (s->fd == -1 || record->data == NULL) {

        /* before the poller's first image there is no file to append to */

        if (s->fd != -1) {
            ngx_http_blockcast_journal_file_fail(s, "appending to",
                                                 NGX_ENOMEM);
        }

        return;
    }

    done = 0;

    if (ngx_http_blockcast_journal_file_drop(s) == NGX_OK) {
        done = ngx_http_blockcast_journal_file_put(s->fd, record->data,
                                                   record->len);
    }

    err = ngx_errno;

    ngx_http_blockcast_journal_file_appended(s, record->len, done, err);
}


size_t
ngx_http_blockcast_journal_file_put(int fd, u_char *p, size_t len)
{
    size_t   done;
    ssize_t  n;

    /* after a short write() the next one tells the reason */

    for (done = 0; done < len; done += (n == -1) ? 0 : n) {
        n = write(fd, p + done, len - done);

        if (n == -1 && ngx_errno != NGX_EINTR) {
            break;
        }
    }

    return done;
}


ngx_int_t
ngx_http_blockcast_journal_file_drop(ngx_http_blockcast_journal_t *s)
{
    if (s->ahead != 0 && ftruncate(s->fd, s->size) == -1) {
        return NGX_ERROR;
    }

    s->ahead = 0;
    s->ahead_of = NULL;

    return NGX_OK;
}


void
ngx_http_blockcast_journal_file_appended(ngx_http_blockcast_journal_t *s,
    size_t len, size_t done, int err)
{
    if (done == len) {
        s->size += done;
        s->unsynced++;

        if (s->full != 0 && s->size > s->full) {
            s->full = 0;
            ngx_http_blockcast_journal_file_log_recovered(s);
        }

        return;
    }

    if (done != 0 && ftruncate(s->fd, s->size) == -1) {
        err = ngx_errno;
    }

    s->full = s->size + len;

    ngx_http_blockcast_journal_file_fail(s, "write()", err);
}


int
ngx_http_blockcast_journal_file_write_temp(int dir, char *temp,
    ngx_http_blockcast_journal_image_t *image, const char **what)
{
    int                                  fd, err;
    size_t                               done;
    ssize_t                              n;
    ngx_http_blockcast_journal_chunk_t  *chunk;

    *what = "open()";

    if (ngx_http_blockcast_journal_own_replaceable(dir, temp)) {
        (void) unlinkat(dir, temp, 0);
    }

    fd = openat(dir, temp,
                O_RDWR|O_CREAT|O_EXCL|O_APPEND|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == -1) {
        err = ngx_errno;
        goto done;
    }

    *what = "write()";

    for (chunk = image->chunks; chunk != NULL; chunk = chunk->next) {

        for (done = 0; done < chunk->len; done += n) {
            n = write(fd, chunk->data + done, chunk->len - done);

            if (n == -1 && ngx_errno == NGX_EINTR) {
                n = 0;
                continue;
            }

            if (n == -1) {
                goto failed;
            }
        }

        ngx_http_blockcast_test_moment("image: written");
    }

    *what = "fsync()";

    if (fsync(fd) == -1) {
        goto failed;
    }

    ngx_http_blockcast_test_moment("image: synced");

    ngx_http_blockcast_journal_image_free(image);

    return fd;

failed:

    err = ngx_errno;

    (void) close(fd);
    (void) unlinkat(dir, temp, 0);

done:

    ngx_http_blockcast_journal_image_free(image);

    ngx_set_errno(err);

    return -1;
}


void
ngx_http_blockcast_journal_file_image_end(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_journal_image_t *image)
{
    bc_journal_header_t  h;

    ngx_memzero(&h, sizeof(bc_journal_header_t));

    h.epoch = bmcf->zone->sh->epoch;
    h.made = image->made;
    h.image = image->size - BC_JOURNAL_HEADER;
    h.reserve = NGX_HTTP_BLOCKCAST_JOURNAL_RESERVE;
    ngx_http_blockcast_journal_file_boot(h.boot);

    bc_journal_header_put(image->chunks->data, &h);
}


void
ngx_http_blockcast_journal_file_temp_name(ngx_http_blockcast_journal_t *s,
    char *temp)
{
    *ngx_snprintf((u_char *) temp, NGX_MAX_PATH - 1, "%s.%P.tmp", s->name,
                  ngx_pid) = '\0';
}


ngx_int_t
ngx_http_blockcast_journal_file_replace(ngx_http_blockcast_main_conf_t *bmcf,
    int fd, char *temp, off_t image)
{
    int                            err;
    ngx_int_t                      rc;
    struct stat                    st;
    ngx_http_blockcast_zone_t     *zone;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;
    zone = bmcf->zone;

    /* a poller that was paused must not replace a newer image with its own */

    rc = ngx_http_blockcast_snapshot_begin_by(zone, s->recorder,
                                              ngx_cycle->log);
    err = 0;

    if (rc == NGX_OK) {

        if (!ngx_http_blockcast_journal_own_replaceable(s->dir, s->name)) {
            err = NGX_EEXIST;

        } else if (fstat(fd, &st) == -1
                   || renameat(s->dir, temp, s->dir, s->name) == -1)
        {
            err = ngx_errno;
        }

        ngx_http_blockcast_test_moment("image: named");

        if (err == 0) {
            if (s->fd != -1) {
                (void) close(s->fd);
            }

            s->fd = fd;
            s->inode = st.st_ino;
            s->size = st.st_size;
            s->image_size = image;
            s->ahead = 0;
            s->ahead_of = NULL;
            s->incomplete = 0;
            s->scratch = 0;
        }

        ngx_http_blockcast_snapshot_end_by(zone, s->recorder);
    }

    if (rc != NGX_OK || err != 0) {
        (void) unlinkat(s->dir, temp, 0);
        (void) close(fd);

        if (err != 0) {
            ngx_http_blockcast_journal_file_fail(s, (err == NGX_EEXIST)
                                         ? "rename() (onto a foreign file)"
                                         : "rename()", err);
        }

        return NGX_ERROR;
    }

    zone->sh->jumped = 0;

    /* the rename, and what follows the image, are not synced yet */

    s->unsynced = 1;

    ngx_http_blockcast_journal_note_set_incomplete(s->lock, 0);

    if (s->note_epoch != zone->sh->epoch) {

        /* that of a cluster was taken over: the file is of this one now */

        ngx_http_blockcast_journal_note_begin(bmcf);
    }

    /* the image fits, but the journal behind it may soon fill the disk again:
       then the next successful append tells */

    if (s->full == 0) {
        ngx_http_blockcast_journal_file_log_recovered(s);
    }

    return NGX_OK;
}


void
ngx_http_blockcast_journal_file_write(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_journal_t        *s;
    ngx_http_blockcast_journal_image_t  *image;

    s = bmcf->journal;

    if (ngx_http_blockcast_journal_file_folder(s) == -1) {
        ngx_http_blockcast_journal_file_fail(s, "open()", ngx_errno);
        return;
    }

    image = ngx_http_blockcast_journal_image_all(bmcf->zone, 1);

    if (image == NULL) {
        ngx_http_blockcast_journal_file_fail(s, "making an image",
                                             NGX_ENOMEM);
        return;
    }

    ngx_http_blockcast_journal_file_write_image(bmcf, image);
}


void
ngx_http_blockcast_journal_file_write_image(
    ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_journal_image_t *image)
{
    int                            fd;
    char                           temp[NGX_MAX_PATH];
    off_t                          size;
    uint64_t                       since;
    const char                    *what;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    ngx_http_blockcast_journal_file_image_end(bmcf, image);
    ngx_http_blockcast_journal_file_temp_name(s, temp);
    size = image->size;

    /* a slow disk is no reason for another worker to take over */

    ngx_http_blockcast_lease_extend(bmcf->zone, 10000);

    since = ngx_http_blockcast_zone_usec();

    fd = ngx_http_blockcast_journal_file_write_temp(s->dir, temp, image,
                                                    &what);

    if (fd == -1) {
        ngx_http_blockcast_journal_file_fail(s, what, ngx_errno);

    } else if (ngx_http_blockcast_journal_file_replace(bmcf, fd, temp, size)
               == NGX_OK)
    {
        ngx_http_blockcast_journal_file_log_slow(s, since,
                                                 NGX_HTTP_BLOCKCAST_SLOW,
                                              ", nothing was sent during it");
    }

    ngx_http_blockcast_lease_extend(bmcf->zone, 0);
}


/* Called when no other process can append to the file any more. */

void
ngx_http_blockcast_journal_file_adopt(ngx_http_blockcast_journal_t *s)
{
    int          fd;
    struct stat  st;

    if (s->read_fd == -1 || !s->intact || s->other_epoch
        || ngx_http_blockcast_journal_note_is_incomplete(s))
    {
        return;
    }

    fd = openat(s->dir, s->name,
                O_RDWR|O_APPEND|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);
    if (fd == -1) {
        return;
    }

    /* cut off an incomplete last record: no client has seen its data */

    if (fstat(fd, &st) == -1
        || st.st_ino != s->read_inode
        || st.st_nlink != 1
        || st.st_size < s->read_offset
        || (st.st_size > s->read_offset
            && ftruncate(fd, s->read_offset) == -1))
    {
        (void) close(fd);
        return;
    }

    s->fd = fd;
    s->inode = st.st_ino;
    s->size = s->read_offset;
    s->image_size = s->read_image_size;
    s->ahead = 0;
    s->ahead_of = NULL;
    s->incomplete = 0;
    s->scratch = 0;

    /* the previous poller may not have synced it */

    s->unsynced = 1;
}


void
ngx_http_blockcast_journal_file_finish(ngx_http_blockcast_main_conf_t *bmcf)
{
    u_char                         record[BC_JOURNAL_RECORD];
    ngx_str_t                      closed, history;
    ngx_uint_t                     i;
    bc_journal_record_t            r;
    ngx_http_blockcast_stream_t  **st;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if ((s->fd == -1 || s->incomplete || s->scratch) && s->job == NULL) {
        ngx_http_blockcast_journal_file_write(bmcf);
    }

    ngx_memzero(&r, sizeof(bc_journal_record_t));

    r.type = bc_journal_closed;
    r.time = ngx_time();

    closed.data = record;
    closed.len = bc_journal_end(record, bc_journal_begin(record, &r), 0);

    if (ngx_http_blockcast_snapshot_begin_by(bmcf->zone, s->recorder,
                                             ngx_cycle->log)
        != NGX_OK)
    {
        return;
    }

    /* record what the histories have of time slots that are not over yet */

    st = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {

        if (st[i]->history == NULL) {
            continue;
        }

        ngx_http_blockcast_journal_codec_history(st[i]->slot, &history);
        ngx_http_blockcast_journal_file_append(bmcf, &history);

        if (history.data != NULL) {
            ngx_free(history.data);
        }
    }

    ngx_http_blockcast_journal_file_append(bmcf, &closed);
    ngx_http_blockcast_snapshot_end_by(bmcf->zone, s->recorder);
}
