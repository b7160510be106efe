
/*
 * The state file: who leads, and what is read from it.  See the header for
 * how it works.
 */


#include "ngx_http_blockcast_state.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_poller.h"
#include "ngx_http_blockcast_state_file.h"

#include <fcntl.h>


/* no stream publishes more often, whatever the node sends (per second) */
#define NGX_HTTP_BLOCKCAST_FASTEST  1000

/* the file tells how old the data is, exactly enough (msec) */
#define NGX_HTTP_BLOCKCAST_NOTED    10000


/* how the file is read: at a start, and nobody else has it; by the family that
   leads; by a new poller of the zone that the file was written from */
#define NGX_HTTP_BLOCKCAST_ALONE    1
#define NGX_HTTP_BLOCKCAST_LEADING  2
#define NGX_HTTP_BLOCKCAST_REDO     4


static void ngx_http_blockcast_state_read(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_uint_t how);


/* of the master: its workers inherit it, and those of the next configuration */

static int    ngx_http_blockcast_lock_fd = -1;
static char  *ngx_http_blockcast_lock_path;


char *
ngx_http_blockcast_state_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_main_conf_t *bmcf = conf;

    u_char                      *p;
    ngx_str_t                   *value, time;
    ngx_int_t                    interval;
    ngx_http_blockcast_state_t  *s;

    if (bmcf->state != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    interval = 1000;

    if (cf->args->nelts == 3) {

        interval = NGX_ERROR;

        if (ngx_strncmp(value[2].data, "interval=", 9) == 0) {
            time.data = value[2].data + 9;
            time.len = value[2].len - 9;
            interval = ngx_http_blockcast_parse_msec(&time);
        }

        if (interval == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" must be interval= and a time like 1s "
                               "or 500ms", &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    s = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_state_t));
    if (s == NULL) {
        return NGX_CONF_ERROR;
    }

    s->path = value[1];
    s->interval = interval;
    s->file = cf->conf_file->file.name.data;
    s->line = cf->conf_file->line;
    s->dir = -1;
    s->lock = -1;
    s->fd = -1;
    s->rfd = -1;

    if (s->path.len == 0 || s->path.data[s->path.len - 1] == '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_state \"%V\" is not the name of a file",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &s->path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* an absolute path has a slash */

    s->core = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                               ngx_core_module);

    s->folder = (char *) ngx_pstrdup(cf->pool, &s->path);
    s->lockname = ngx_pnalloc(cf->pool, s->path.len + sizeof(".lock"));
    p = ngx_pnalloc(cf->pool, s->path.len + 2);

    if (s->folder == NULL || s->lockname == NULL || p == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(p, s->path.data, s->path.len);
    p[s->path.len] = '\0';
    s->path.data = p;

    p = (u_char *) strrchr((char *) p, '/');
    s->name = (char *) p + 1;
    *ngx_sprintf((u_char *) s->lockname, "%s.lock", s->name) = '\0';
    s->folder[p - s->path.data + (p == s->path.data)] = '\0';

    bmcf->state = s;

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_blockcast_state_held(ngx_http_blockcast_main_conf_t *bmcf)
{
    return bmcf->state == NULL
           || (bmcf->state->ready
               && ngx_http_blockcast_state_leads(bmcf->state));
}


ngx_uint_t
ngx_http_blockcast_state_followed(ngx_http_blockcast_main_conf_t *bmcf)
{
    return bmcf->state != NULL && bmcf->state->followed;
}


/* the lock file of the former configuration is kept when it is the same */

static void
ngx_http_blockcast_state_open_lock(ngx_cycle_t *cycle,
    ngx_http_blockcast_state_t *s)
{
    int           fd;
    char         *path;
    size_t        len;
    const char   *why;
    struct stat   ours, st;

    path = NULL;
    fd = -1;

    if (s != NULL) {
        len = s->path.len + sizeof(".lock");

        path = ngx_alloc(len, cycle->log);
        if (path == NULL) {
            return;
        }

        (void) ngx_snprintf((u_char *) path, len, "%V.lock%Z", &s->path);

        if (ngx_http_blockcast_state_folder(s) != -1
            && ngx_http_blockcast_lock_fd != -1
            && ngx_strcmp(path, ngx_http_blockcast_lock_path) == 0
            && fstat(ngx_http_blockcast_lock_fd, &ours) == 0
            && fstatat(s->dir, s->lockname, &st, AT_SYMLINK_NOFOLLOW) == 0
            && ours.st_ino == st.st_ino
            && ours.st_dev == st.st_dev)
        {
            s->lock = ngx_http_blockcast_lock_fd;
            ngx_free(path);
            return;
        }

        fd = ngx_http_blockcast_state_lock_open(s, 1, &why);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_ERR, cycle->log, why ? 0 : ngx_errno,
                          "blockcast: open() \"%s\" failed%s%s, a second "
                          "nginx with this blockcast_state would poll, too",
                          path, why ? ", it is " : "", why ? why : "");
        }

        s->lock = fd;
    }

    if (ngx_http_blockcast_lock_fd != -1) {

        /* the streams go on without that file, which grows old */

        ngx_http_blockcast_state_note(ngx_http_blockcast_lock_fd, 1);
        (void) close(ngx_http_blockcast_lock_fd);
    }

    if (ngx_http_blockcast_lock_path != NULL) {
        ngx_free(ngx_http_blockcast_lock_path);
    }

    ngx_http_blockcast_lock_fd = fd;
    ngx_http_blockcast_lock_path = path;
}


static void
ngx_http_blockcast_state_cleanup(void *data)
{
    ngx_http_blockcast_state_t *s = data;

    if (s->dir != -1) {
        (void) close(s->dir);
        s->dir = -1;
    }
}


void
ngx_http_blockcast_state_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                   alone;
    ngx_pool_cleanup_t          *cln;
    ngx_http_blockcast_zone_t   *zone;
    ngx_http_blockcast_state_t  *s;

    s = (bmcf != NULL) ? bmcf->state : NULL;

    ngx_http_blockcast_state_open_lock(cycle, s);

    if (s == NULL) {
        if (bmcf != NULL) {
            bmcf->zone->sh->role = ngx_http_blockcast_leader;
        }

        return;
    }

    cln = ngx_pool_cleanup_add(cycle->pool, 0);

    if (cln != NULL) {
        cln->handler = ngx_http_blockcast_state_cleanup;
        cln->data = s;
    }

    zone = bmcf->zone;
    s->unread = &zone->sh->unread;

    ngx_http_blockcast_state_join(s);
    ngx_http_blockcast_state_clean(s);

    alone = ngx_http_blockcast_state_owns(s);

    if (!alone) {
        zone->sh->role = ngx_http_blockcast_follower;

        (void) ngx_http_blockcast_state_lock(s, F_RDLCK,
                                             NGX_HTTP_BLOCKCAST_FOLLOWS);
    }

    if (zone->fresh || zone->sh->role == ngx_http_blockcast_follower) {
        ngx_http_blockcast_state_read(bmcf,
                              (alone ? NGX_HTTP_BLOCKCAST_LEADING : 0)
                              | (alone && zone->fresh
                                 ? NGX_HTTP_BLOCKCAST_ALONE : 0));
        ngx_http_blockcast_state_close(s);
    }

    zone->fresh = 0;
}


/* nothing has been published here: the epoch is known to nobody */

static ngx_uint_t
ngx_http_blockcast_state_blank(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                      i;
    ngx_http_blockcast_stream_t   **streams;

    streams = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        if (streams[i]->slot->version != 0 || streams[i]->slot->seq != 0) {
            return 0;
        }
    }

    return 1;
}


/*
 * What is missing at the end of a file that nobody closed: nothing when only
 * its processes died; what was not synced when the machine did; and as much
 * as may have been published since when the file could not be written.
 */

static uint64_t
ngx_http_blockcast_state_doubt(ngx_http_blockcast_state_t *s,
    bc_state_header_t *h, ngx_http_blockcast_tail_t *tail, uint64_t behind)
{
    time_t    ago;
    uint64_t  newest;

    if ((tail->closed && behind == 0)
        || (!tail->bad
            && ngx_http_blockcast_state_same_boot(h)
            && !ngx_http_blockcast_state_lacks(s)))
    {
        return 0;
    }

    newest = ngx_max(h->made, tail->newest);
    ago = ngx_time() - (time_t) newest;

    return h->reserve
           + ((ago > 0) ? (uint64_t) ago * NGX_HTTP_BLOCKCAST_FASTEST : 0);
}


/* the numbers of streams that are not configured are not used again, either */

static void
ngx_http_blockcast_state_others(ngx_http_blockcast_main_conf_t *bmcf,
    const u_char *p, const u_char *last, uint64_t jump, ngx_uint_t said)
{
    u_char                        printable[NGX_HTTP_BLOCKCAST_NAME_LEN];
    ngx_str_t                     name, former;
    bc_state_record_t             r;
    ngx_http_blockcast_stream_t  *st;
    ngx_http_blockcast_shctx_t   *sh;

    sh = bmcf->zone->sh;
    ngx_str_null(&former);

    while (bc_state_next(&p, last, &r) == 1) {

        if (r.type == bc_state_error || r.type == bc_state_polled
            || r.type == bc_state_closed)
        {
            continue;
        }

        name.data = (u_char *) r.name.data;
        name.len = r.name.len;

        if (name.len != 0) {
            st = ngx_http_blockcast_stream_find(bmcf, &name);

            if (st != NULL) {
                continue;
            }
        }

        sh->seq = ngx_max(sh->seq, r.seq + jump);

        if (!said || name.len == 0
            || (name.len == former.len
                && ngx_memcmp(name.data, former.data, name.len) == 0))
        {
            continue;
        }

        former = name;

        /* anything may be in a file */

        ngx_http_blockcast_printable(&name, printable, sizeof(printable));

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: stream \"%V\" of the state file \"%V\" is "
                      "not configured, it is left out",
                      &name, &bmcf->state->path);
    }
}


/* reads the file, or what was appended since */

static void
ngx_http_blockcast_state_read(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_uint_t how)
{
    u_char                      *data;
    size_t                       len;
    uint64_t                     jump, behind;
    ngx_int_t                    rc;
    ngx_uint_t                   n, alone;
    const char                  *why;
    bc_state_note_t              note;
    bc_state_header_t            h;
    ngx_http_blockcast_zone_t   *zone;
    ngx_http_blockcast_tail_t    tail;
    ngx_http_blockcast_state_t  *s;

    s = bmcf->state;
    zone = bmcf->zone;
    alone = how & NGX_HTTP_BLOCKCAST_ALONE;

    rc = ngx_http_blockcast_state_news(s, &data, &len, &h, &why);

    if (rc == NGX_ERROR) {
        ngx_http_blockcast_state_refused(s, why,
                                         how & NGX_HTTP_BLOCKCAST_LEADING);
        return;
    }

    if (rc == NGX_DECLINED) {
        return;
    }

    jump = 0;
    behind = 0;

    ngx_http_blockcast_state_tail(s, data, len, &tail);

    if (alone) {
        if (ngx_http_blockcast_state_verify(bmcf, &h, data, tail.good, &note,
                                            &behind, &why)
            != NGX_OK)
        {
            ngx_free(data);
            ngx_http_blockcast_state_refused(s, why, 1);
            return;
        }

        jump = ngx_http_blockcast_state_doubt(s, &h, &tail, behind);

        if (behind != 0) {
            jump = ngx_max(jump, behind + 1);
        }
    }

    if (rc == NGX_OK) {

        /* a new file, from its beginning */

        if (alone || (h.epoch != zone->sh->epoch
                      && ngx_http_blockcast_state_blank(bmcf)))
        {
            zone->sh->epoch = h.epoch;
        }

        if (h.epoch != zone->sh->epoch) {
            s->foreign = 1;

            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "blockcast: the state file \"%V\" is of epoch %uL, "
                          "this nginx is in epoch %uL and does not read it",
                          &s->path, h.epoch, zone->sh->epoch);
        }
    }

    if (tail.bad || behind != 0) {
        s->whole = 0;
    }

    if (s->foreign) {
        ngx_free(data);
        return;
    }

    n = ngx_http_blockcast_image_apply(zone, data, data + tail.good, jump,
                                       how & NGX_HTTP_BLOCKCAST_REDO);

    ngx_http_blockcast_state_others(bmcf, data, data + tail.good, jump, alone);

    ngx_free(data);

    if (alone) {
        ngx_http_blockcast_state_note_apply(bmcf, &note, jump);

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: %ui streams go on from \"%V\", epoch %uL",
                      n, &s->path, h.epoch);

        if (jump != 0) {
            zone->sh->jumped = 1;

            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "blockcast: the end of \"%V\" may be missing (%s), "
                          "all seq go on %uL further",
                          &s->path,
                          tail.bad ? "it is damaged"
                          : (behind != 0
                             && !ngx_http_blockcast_state_lacks(s))
                            ? "it is older than its lock file tells"
                          : ngx_http_blockcast_state_same_boot(&h)
                            ? "it could not be written"
                            : "the machine was started again",
                          jump);
        }
    }
}


ngx_uint_t
ngx_http_blockcast_state_lead(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                   kept;
    ngx_http_blockcast_zone_t   *zone;
    ngx_http_blockcast_state_t  *s;

    s = bmcf->state;
    zone = bmcf->zone;

    if (s == NULL) {
        return 1;
    }

    ngx_http_blockcast_state_job(bmcf);

    /* before anything is believed of the lock */

    kept = ngx_http_blockcast_state_lock_kept(s, zone->sh->role
                                                 == ngx_http_blockcast_leader);

    if (!ngx_http_blockcast_state_owns(s)) {

        if (s->ready) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "blockcast: another nginx has \"%V\" and polls",
                          &s->path);
        }

        ngx_http_blockcast_state_stop(bmcf);

        zone->sh->role = ngx_http_blockcast_follower;

        (void) ngx_http_blockcast_state_lock(s, F_RDLCK,
                                             NGX_HTTP_BLOCKCAST_FOLLOWS);
        return 0;
    }

    if (s->ready) {

        if (!kept) {
            ngx_http_blockcast_state_note_begin(bmcf);
        }

        ngx_http_blockcast_state_beat(bmcf, 0);
        return 1;
    }

    /* the poller before may be publishing: after this it cannot any more */

    if (ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) != NGX_OK) {
        return 0;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (s->lock != -1) {
        (void) ngx_http_blockcast_state_lock(s, F_UNLCK,
                                             NGX_HTTP_BLOCKCAST_FOLLOWS);
    }

    ngx_http_blockcast_state_read(bmcf,
                          NGX_HTTP_BLOCKCAST_LEADING
                          | (zone->sh->role == ngx_http_blockcast_leader
                             ? NGX_HTTP_BLOCKCAST_REDO : 0));

    if (!zone->sh->jumped) {
        ngx_http_blockcast_state_adopt(s);
    }

    ngx_http_blockcast_state_close(s);

    if (zone->sh->role == ngx_http_blockcast_follower) {
        zone->sh->role = ngx_http_blockcast_leader;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: this nginx has \"%V\" now and polls",
                      &s->path);
    }

    s->ready = 1;
    ngx_http_blockcast_state_beat(bmcf, 0);

    return 1;
}


void
ngx_http_blockcast_state_begin(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_state_t  *s;

    s = bmcf->state;

    if (s == NULL) {
        return;
    }

    s->at = ngx_current_msec;

    ngx_http_blockcast_state_note_begin(bmcf);

    if (s->fd != -1 && !s->failing) {
        return;
    }

    if (s->job != NULL) {

        /* of the time when this worker polled before: after it */

        ngx_http_blockcast_state_incomplete(bmcf);
        return;
    }

    ngx_http_blockcast_state_write(bmcf);
}


void
ngx_http_blockcast_state_incomplete(ngx_http_blockcast_main_conf_t *bmcf)
{
    if (bmcf->state != NULL) {
        bmcf->state->failing = 1;
        ngx_http_blockcast_state_note(bmcf->state->lock, 1);
    }
}


void
ngx_http_blockcast_state_tick(ngx_http_blockcast_main_conf_t *bmcf)
{
    struct flock                 fl;
    ngx_http_blockcast_state_t  *s;

    s = bmcf->state;

    if (s == NULL) {
        return;
    }

    ngx_http_blockcast_state_job(bmcf);

    if (s->lock != -1) {
        ngx_memzero(&fl, sizeof(struct flock));

        fl.l_type = F_WRLCK;
        fl.l_whence = SEEK_SET;
        fl.l_start = NGX_HTTP_BLOCKCAST_FOLLOWS;
        fl.l_len = 1;

        s->followed = (fcntl(s->lock, F_OFD_GETLK, &fl) == 0
                       && fl.l_type != F_UNLCK);
    }

    if (ngx_current_msec - s->at >= s->interval
        || s->unsynced >= NGX_HTTP_BLOCKCAST_RESERVE / 2)
    {
        s->at = ngx_current_msec;
        ngx_http_blockcast_state_sync(bmcf);
    }
}


void
ngx_http_blockcast_state_stop(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_state_t  *s;

    s = bmcf->state;

    if (s == NULL) {
        return;
    }

    ngx_http_blockcast_state_job_leave(s);
    ngx_http_blockcast_state_job(bmcf);

    s->ready = 0;
    s->followed = 0;
    s->noted = 0;

    if (s->private) {

        /* no other process has it open, and so it would keep them out */

        (void) ngx_http_blockcast_state_lock(s, F_UNLCK,
                                             NGX_HTTP_BLOCKCAST_LEADS);
    }

    if (s->fd != -1) {
        (void) close(s->fd);
        s->fd = -1;
    }
}


void
ngx_http_blockcast_state_leave(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                   taken;
    ngx_http_blockcast_zone_t   *zone;
    ngx_http_blockcast_state_t  *s;

    s = bmcf->state;
    zone = bmcf->zone;

    if (s == NULL || s->left) {
        return;
    }

    s->left = 1;

    if (!ngx_http_blockcast_zone_last(zone)) {
        return;
    }

    if (zone->sh->role == ngx_http_blockcast_follower) {

        /* the leader need not poll for its clients any more */

        if (s->lock != -1) {
            (void) ngx_http_blockcast_state_lock(s, F_UNLCK,
                                                 NGX_HTTP_BLOCKCAST_FOLLOWS);
        }

        return;
    }

    if (ngx_http_blockcast_lease_hold(zone, &taken) != NGX_OK
        || !ngx_http_blockcast_state_lead(bmcf))
    {
        return;
    }

    ngx_http_blockcast_state_finish(bmcf);

    /* another nginx goes on, whatever time the disk takes now; the clients
       that are still here follow it */

    zone->sh->role = ngx_http_blockcast_follower;

    if (ngx_http_blockcast_lease_held(zone)) {
        ngx_http_blockcast_state_release(s);
    }

    if (s->fd != -1 && !s->failing) {

        if (s->lock != -1) {
            (void) fdatasync(s->lock);
        }

        if (fdatasync(s->fd) == -1) {
            ngx_http_blockcast_state_failed(s, "fdatasync()", ngx_errno);

        } else {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "blockcast: the state file \"%V\" is complete, this "
                          "nginx polls no longer", &s->path);
        }
    }

    ngx_http_blockcast_state_stop(bmcf);
}


void
ngx_http_blockcast_state_follow(ngx_http_blockcast_main_conf_t *bmcf)
{
    if (bmcf->state == NULL) {
        return;
    }

    if (bmcf->zone->sh->role == ngx_http_blockcast_leader) {

        /* who is being drained sees that nobody here leads any more */

        if (!ngx_exiting || !ngx_http_blockcast_state_lost(bmcf->state)) {
            return;
        }

        bmcf->zone->sh->role = ngx_http_blockcast_follower;
    }

    ngx_http_blockcast_state_read(bmcf, 0);
}


void
ngx_http_blockcast_state_polled(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_slot_t *slot)
{
    ngx_str_t                    record;
    ngx_uint_t                   unsynced;
    ngx_http_blockcast_state_t  *s;

    s = bmcf->state;

    if (s == NULL || !s->ready
        || (!s->followed
            && ngx_current_msec - slot->noted < NGX_HTTP_BLOCKCAST_NOTED))
    {
        return;
    }

    if (ngx_http_blockcast_publish_begin(bmcf->zone, ngx_cycle->log)
        != NGX_OK)
    {
        return;
    }

    slot->noted = ngx_current_msec;

    /* not worth a sync of its own */

    unsynced = s->unsynced;

    ngx_http_blockcast_image_poll(slot, 0, NULL, &record);
    ngx_http_blockcast_state_append(bmcf, &record);

    s->unsynced = unsynced;

    ngx_http_blockcast_publish_end(bmcf->zone);

    if (record.data != NULL) {
        ngx_free(record.data);
    }
}
