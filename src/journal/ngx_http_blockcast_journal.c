
/*
 * The state file: which nginx leads, and what is read from it.  The header
 * tells how it works.
 */


#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conf_read.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_worker_record.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal_codec.h"
#include "ngx_http_blockcast_journal_file.h"
#include "ngx_http_blockcast_journal_lead.h"
#include "ngx_http_blockcast_journal_note.h"
#include "ngx_http_blockcast_journal_own.h"
#include "ngx_http_blockcast_journal_replay.h"
#include "ngx_http_blockcast_journal_stage.h"
#include "ngx_http_blockcast_journal_sync.h"
#include "bc_journal.h"

#include <fcntl.h>


/* the most publications of a stream per second */
#define NGX_HTTP_BLOCKCAST_FASTEST  1000

/* how long polls wait for the first image, at most (msec) */
#define NGX_HTTP_BLOCKCAST_FIRST_IMAGE  5000

/* how often a successful poll that changed nothing is recorded (msec) */
#define NGX_HTTP_BLOCKCAST_RECORD_AGAIN    10000


/*
 * how the file is read: at a start, when no other family has it; by the family
 * that leads; by a new poller of the zone that the file was written from
 */
#define NGX_HTTP_BLOCKCAST_ALONE    1
#define NGX_HTTP_BLOCKCAST_LEADING  2
#define NGX_HTTP_BLOCKCAST_REDO     4


static void ngx_http_blockcast_journal_read(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_uint_t how);
static void ngx_http_blockcast_journal_polled(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_slot_t *slot);


static const ngx_http_blockcast_recorder_t
    ngx_http_blockcast_journal_recorder =
{
    ngx_http_blockcast_journal_own_check,
    ngx_http_blockcast_journal_lead_write_begin,
    ngx_http_blockcast_journal_lead_write_end,
    ngx_http_blockcast_journal_codec_publication,
    ngx_http_blockcast_journal_codec_error,
    ngx_http_blockcast_journal_codec_history,
    ngx_http_blockcast_journal_file_append,
    ngx_http_blockcast_journal_note_number,
    ngx_http_blockcast_journal_incomplete,
    ngx_http_blockcast_journal_polled,
    ngx_http_blockcast_journal_lead_beat,
    NULL,
    NULL,
    ngx_http_blockcast_journal_stage,
    ngx_http_blockcast_journal_stage_commit,
    ngx_http_blockcast_journal_stage_free
};


/* of the master; workers inherit them, and later configurations reuse them */

static int    ngx_http_blockcast_journal_lock_fd = -1;
static char  *ngx_http_blockcast_journal_lock_path;


char *
ngx_http_blockcast_journal_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_main_conf_t *bmcf = conf;

    u_char                        *p;
    ngx_str_t                     *value, time;
    ngx_int_t                      interval;
    ngx_http_blockcast_journal_t  *s;

    if (bmcf->journal != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    interval = 1000;

    if (cf->args->nelts == 3) {

        interval = NGX_ERROR;

        if (ngx_http_blockcast_conf_read_param(&value[2], "interval=", &time))
        {
            interval = ngx_http_blockcast_conf_read_msec(&time);
        }

        if (interval == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" must be interval= and a time like 1s "
                               "or 500ms", &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    s = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_journal_t));
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
    s->read_fd = -1;

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

    bmcf->journal = s;
    bmcf->recorder = &ngx_http_blockcast_journal_recorder;
    s->recorder = bmcf->recorder;

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_blockcast_journal_held(ngx_http_blockcast_main_conf_t *bmcf)
{
    return bmcf->journal == NULL
           || (bmcf->journal->ready
               && ngx_http_blockcast_journal_lead_leads(bmcf->journal));
}


ngx_uint_t
ngx_http_blockcast_journal_followed(ngx_http_blockcast_main_conf_t *bmcf)
{
    return bmcf->journal != NULL && bmcf->journal->has_followers;
}


/* Opens the lock file, or keeps that of the previous configuration. */

static void
ngx_http_blockcast_journal_open_lock(ngx_cycle_t *cycle,
    ngx_http_blockcast_journal_t *s)
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

        if (ngx_http_blockcast_journal_file_folder(s) != -1
            && ngx_http_blockcast_journal_lock_fd != -1
            && ngx_strcmp(path, ngx_http_blockcast_journal_lock_path) == 0
            && fstat(ngx_http_blockcast_journal_lock_fd, &ours) == 0
            && fstatat(s->dir, s->lockname, &st, AT_SYMLINK_NOFOLLOW) == 0
            && ours.st_ino == st.st_ino
            && ours.st_dev == st.st_dev)
        {
            s->lock = ngx_http_blockcast_journal_lock_fd;
            ngx_free(path);
            return;
        }

        fd = ngx_http_blockcast_journal_own_lock_open(s, 1, &why);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_ERR, cycle->log, why ? 0 : ngx_errno,
                          "blockcast: open() \"%s\" failed%s%s, a second "
                          "nginx with this blockcast_state would poll, too",
                          path, why ? ", it is " : "", why ? why : "");
        }

        s->lock = fd;
    }

    if (ngx_http_blockcast_journal_lock_fd != -1) {

        /* from now on the streams are published without that file */

        ngx_http_blockcast_journal_note_set_incomplete(
                                        ngx_http_blockcast_journal_lock_fd, 1);
        (void) close(ngx_http_blockcast_journal_lock_fd);
    }

    if (ngx_http_blockcast_journal_lock_path != NULL) {
        ngx_free(ngx_http_blockcast_journal_lock_path);
    }

    ngx_http_blockcast_journal_lock_fd = fd;
    ngx_http_blockcast_journal_lock_path = path;
}


static void
ngx_http_blockcast_journal_cleanup(void *data)
{
    ngx_http_blockcast_journal_t *s = data;

    if (s->dir != -1) {
        (void) close(s->dir);
        s->dir = -1;
    }
}


void
ngx_http_blockcast_journal_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                     alone;
    ngx_pool_cleanup_t            *cln;
    ngx_http_blockcast_zone_t     *zone;
    ngx_http_blockcast_journal_t  *s;

    s = (bmcf != NULL) ? bmcf->journal : NULL;

    ngx_http_blockcast_journal_open_lock(cycle, s);

    if (s == NULL) {
        if (bmcf != NULL) {
            bmcf->zone->sh->role = ngx_http_blockcast_leader;
        }

        return;
    }

    cln = ngx_pool_cleanup_add(cycle->pool, 0);

    if (cln != NULL) {
        cln->handler = ngx_http_blockcast_journal_cleanup;
        cln->data = s;
    }

    zone = bmcf->zone;
    s->read_error = &zone->sh->read_error;

    ngx_http_blockcast_journal_lead_join(s);
    ngx_http_blockcast_journal_file_clean(s);

    alone = ngx_http_blockcast_journal_lead_owns(s);

    if (!alone) {
        zone->sh->role = ngx_http_blockcast_follower;

        (void) ngx_http_blockcast_journal_lead_lock(
                                        s, F_RDLCK,
                                        NGX_HTTP_BLOCKCAST_FOLLOWS);
    }

    if (zone->fresh || zone->sh->role == ngx_http_blockcast_follower) {
        ngx_http_blockcast_journal_read(bmcf,
                              (alone ? NGX_HTTP_BLOCKCAST_LEADING : 0)
                              | (alone && zone->fresh
                                 ? NGX_HTTP_BLOCKCAST_ALONE : 0));
        ngx_http_blockcast_journal_file_close(s);
    }

    zone->fresh = 0;
}


/* Returns true when nothing was published: no client knows our epoch. */

static ngx_uint_t
ngx_http_blockcast_journal_is_blank(ngx_http_blockcast_main_conf_t *bmcf)
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
 * Returns how many numbers may be missing at the end of the file: none if it
 * was closed, or if only the processes died; otherwise those that may not have
 * been synced, and those that may have been published since the last record.
 */

static uint64_t
ngx_http_blockcast_journal_max_lost(ngx_http_blockcast_journal_t *s,
                                    bc_journal_header_t *h,
                                    ngx_http_blockcast_journal_tail_t *tail,
                                    uint64_t behind)
{
    time_t    ago;
    uint64_t  newest;

    if ((tail->closed && behind == 0)
        || (!tail->bad
            && ngx_http_blockcast_journal_file_same_boot(h)
            && !ngx_http_blockcast_journal_note_is_incomplete(s)))
    {
        return 0;
    }

    newest = ngx_max(h->made, tail->newest);
    ago = ngx_time() - (time_t) newest;

    return h->reserve
           + ((ago > 0) ? (uint64_t) ago * NGX_HTTP_BLOCKCAST_FASTEST : 0);
}


/*
 * Takes over the numbers of streams that are not configured, so that none is
 * used twice; log: also name these streams in the log.
 */

static void
ngx_http_blockcast_journal_unconfigured(ngx_http_blockcast_main_conf_t *bmcf,
    const u_char *p, const u_char *last, uint64_t jump, ngx_uint_t log)
{
    u_char                            printable[NGX_HTTP_BLOCKCAST_NAME_LEN];
    ngx_str_t                         name, former;
    bc_journal_record_t               r;
    ngx_http_blockcast_stream_t      *st;
    ngx_http_blockcast_zone_shctx_t  *sh;

    sh = bmcf->zone->sh;
    ngx_str_null(&former);

    while (bc_journal_next(&p, last, &r) == 1) {

        if (r.type == bc_journal_error || r.type == bc_journal_polled
            || r.type == bc_journal_closed)
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

        if (!log || name.len == 0
            || (name.len == former.len
                && ngx_memcmp(name.data, former.data, name.len) == 0))
        {
            continue;
        }

        former = name;

        /* the file may contain anything */

        ngx_http_blockcast_gate_printable(&name, printable, sizeof(printable));

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: stream \"%V\" of the state file \"%V\" is "
                      "not configured, it is left out",
                      &name, &bmcf->journal->path);
    }
}


/*
 * Takes over the epoch of a new file, unless clients may have got another
 * epoch from this nginx: then the file will be ignored.
 */

static void
ngx_http_blockcast_journal_read_epoch(ngx_http_blockcast_main_conf_t *bmcf,
    uint64_t epoch, ngx_uint_t alone)
{
    ngx_http_blockcast_zone_t     *zone;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;
    zone = bmcf->zone;

    if (alone || (epoch != zone->sh->epoch
                  && ngx_http_blockcast_journal_is_blank(bmcf)))
    {
        zone->sh->epoch = epoch;
    }

    if (epoch != zone->sh->epoch) {
        s->other_epoch = 1;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: the state file \"%V\" is of epoch %uL, "
                      "this nginx is in epoch %uL and does not read it",
                      &s->path, epoch, zone->sh->epoch);
    }
}


/* Returns why numbers were skipped, for the log. */

static const char *
ngx_http_blockcast_journal_jump_reason(ngx_http_blockcast_journal_t *s,
    bc_journal_header_t *h, ngx_http_blockcast_journal_tail_t *tail,
    uint64_t behind)
{
    if (tail->bad) {
        return "it is damaged";
    }

    if (behind != 0 && !ngx_http_blockcast_journal_note_is_incomplete(s)) {
        return "it is older than its lock file says";
    }

    if (ngx_http_blockcast_journal_file_same_boot(h)) {
        return "it could not be written";
    }

    return "the machine was rebooted";
}


/* Reads the file, or what was appended since the last time, into the zone. */

static void
ngx_http_blockcast_journal_read(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_uint_t how)
{
    u_char                            *data;
    size_t                             len;
    uint64_t                           jump, behind;
    ngx_int_t                          rc;
    ngx_uint_t                         n, alone;
    const char                        *why;
    bc_journal_note_t                  note;
    bc_journal_header_t                h;
    ngx_http_blockcast_zone_t         *zone;
    ngx_http_blockcast_journal_tail_t  tail;
    ngx_http_blockcast_journal_t      *s;

    s = bmcf->journal;
    zone = bmcf->zone;
    alone = how & NGX_HTTP_BLOCKCAST_ALONE;

    rc = ngx_http_blockcast_journal_file_read(
                             s, (how & NGX_HTTP_BLOCKCAST_REDO) ? zone : NULL,
                             &data, &len, &h, &why);

    if (rc == NGX_ERROR) {
        ngx_http_blockcast_journal_file_refuse(
                                        s, why,
                                        how & NGX_HTTP_BLOCKCAST_LEADING);
        return;
    }

    if (rc == NGX_DECLINED) {
        return;
    }

    jump = 0;
    behind = 0;

    ngx_http_blockcast_journal_file_tail(s, data, len, &tail);

    if (alone) {
        if (ngx_http_blockcast_journal_note_verify(bmcf, &h, data, tail.good,
                                                   &note, &behind, &why)
            != NGX_OK)
        {
            ngx_free(data);
            ngx_http_blockcast_journal_file_refuse(s, why, 1);
            return;
        }

        jump = ngx_http_blockcast_journal_max_lost(s, &h, &tail, behind);

        if (behind != 0) {
            jump = ngx_max(jump, behind + 1);
        }

        if (bmcf->cluster != NULL) {

            /* the cluster's log has what is missing, under the same numbers */

            jump = 0;
        }
    }

    if (rc == NGX_OK) {
        ngx_http_blockcast_journal_read_epoch(bmcf, h.epoch, alone);
    }

    if (tail.bad || behind != 0) {
        s->intact = 0;
    }

    if (s->other_epoch) {
        ngx_free(data);
        return;
    }

    n = ngx_http_blockcast_journal_replay(zone, data, data + tail.good, jump,
                                          how & NGX_HTTP_BLOCKCAST_REDO);

    ngx_http_blockcast_journal_unconfigured(bmcf, data, data + tail.good, jump,
                                            alone);

    ngx_free(data);

    if (alone) {
        ngx_http_blockcast_journal_note_apply(bmcf, &note, jump);

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: %ui streams go on from \"%V\", epoch %uL",
                      n, &s->path, h.epoch);

        if (jump != 0) {
            zone->sh->jumped = 1;

            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "blockcast: the end of \"%V\" may be missing (%s), "
                          "so every seq skips %uL numbers",
                          &s->path,
                          ngx_http_blockcast_journal_jump_reason(s, &h, &tail,
                                                                 behind),
                          jump);
        }
    }
}


ngx_uint_t
ngx_http_blockcast_journal_lead(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                     kept;
    ngx_http_blockcast_zone_t     *zone;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;
    zone = bmcf->zone;

    if (s == NULL) {
        return 1;
    }

    ngx_http_blockcast_journal_sync_job(bmcf);

    /* before anything is read from the lock file */

    kept = ngx_http_blockcast_journal_own_keep_lock(s, zone->sh->role
                                                 == ngx_http_blockcast_leader);

    if (!ngx_http_blockcast_journal_lead_owns(s)) {

        if (s->ready) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "blockcast: another nginx owns \"%V\" and polls",
                          &s->path);
        }

        ngx_http_blockcast_journal_stop(bmcf);

        zone->sh->role = ngx_http_blockcast_follower;

        (void) ngx_http_blockcast_journal_lead_lock(
                                        s, F_RDLCK,
                                        NGX_HTTP_BLOCKCAST_FOLLOWS);
        return 0;
    }

    if (s->ready) {

        if (!kept) {
            ngx_http_blockcast_journal_note_begin(bmcf);
        }

        ngx_http_blockcast_journal_lead_beat(bmcf, 0);
        return 1;
    }

    /* the previous poller may be publishing: wait until it unlocks the zone */

    if (ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) != NGX_OK) {
        return 0;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (s->lock != -1) {
        (void) ngx_http_blockcast_journal_lead_lock(
                                        s, F_UNLCK,
                                        NGX_HTTP_BLOCKCAST_FOLLOWS);
    }

    ngx_http_blockcast_journal_read(bmcf,
                          NGX_HTTP_BLOCKCAST_LEADING
                          | (zone->sh->role == ngx_http_blockcast_leader
                             ? NGX_HTTP_BLOCKCAST_REDO : 0));

    if (!zone->sh->jumped) {
        ngx_http_blockcast_journal_file_adopt(s);
    }

    ngx_http_blockcast_journal_file_close(s);

    if (zone->sh->role == ngx_http_blockcast_follower) {
        zone->sh->role = ngx_http_blockcast_leader;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: this nginx owns \"%V\" now and polls",
                      &s->path);
    }

    s->ready = 1;
    ngx_http_blockcast_journal_lead_beat(bmcf, 0);

    return 1;
}


void
ngx_http_blockcast_journal_begin(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if (s == NULL) {
        return;
    }

    s->synced_at = ngx_current_msec;

    ngx_http_blockcast_journal_note_begin(bmcf);

    if (s->fd != -1 && !s->incomplete) {
        return;
    }

    if (s->job != NULL) {

        /* the thread is writing an older image: write a new one after it */

        ngx_http_blockcast_journal_incomplete(bmcf);
        return;
    }

    ngx_http_blockcast_journal_sync_renew(bmcf);
    s->first = s->scratch;
}


ngx_uint_t
ngx_http_blockcast_journal_waits(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    return s != NULL && s->first && s->scratch && !s->incomplete
           && ngx_current_msec - s->synced_at < NGX_HTTP_BLOCKCAST_FIRST_IMAGE;
}


void
ngx_http_blockcast_journal_incomplete(ngx_http_blockcast_main_conf_t *bmcf)
{
    if (bmcf->journal != NULL) {
        bmcf->journal->incomplete = 1;
        ngx_http_blockcast_journal_note_set_incomplete(bmcf->journal->lock, 1);
    }
}


void
ngx_http_blockcast_journal_tick(ngx_http_blockcast_main_conf_t *bmcf)
{
    struct flock                   fl;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if (s == NULL) {
        return;
    }

    ngx_http_blockcast_journal_sync_job(bmcf);

    if (s->lock != -1) {
        ngx_memzero(&fl, sizeof(struct flock));

        fl.l_type = F_WRLCK;
        fl.l_whence = SEEK_SET;
        fl.l_start = NGX_HTTP_BLOCKCAST_FOLLOWS;
        fl.l_len = 1;

        s->has_followers = (fcntl(s->lock, F_OFD_GETLK, &fl) == 0
                       && fl.l_type != F_UNLCK);
    }

    if (ngx_current_msec - s->synced_at >= s->interval
        || s->unsynced >= NGX_HTTP_BLOCKCAST_JOURNAL_RESERVE / 2)
    {
        s->synced_at = ngx_current_msec;
        ngx_http_blockcast_journal_sync(bmcf);
    }
}


void
ngx_http_blockcast_journal_stop(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if (s == NULL) {
        return;
    }

    ngx_http_blockcast_journal_sync_job_leave(s);
    ngx_http_blockcast_journal_sync_job(bmcf);

    s->ready = 0;
    s->has_followers = 0;
    s->note_valid = 0;

    if (s->lock_private) {

        /*
         * no other worker of the family has it open, so the lock would keep
         * them out
         */

        (void) ngx_http_blockcast_journal_lead_lock(s, F_UNLCK,
                                                    NGX_HTTP_BLOCKCAST_LEADS);
    }

    if (s->fd != -1) {
        (void) close(s->fd);
        s->fd = -1;
    }

    s->scratch = 0;
    s->first = 0;
}


void
ngx_http_blockcast_journal_done(ngx_http_blockcast_main_conf_t *bmcf)
{
    if (bmcf->journal != NULL) {
        ngx_http_blockcast_journal_sync_job_end(bmcf);
    }
}


void
ngx_http_blockcast_journal_leave(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                     taken;
    ngx_http_blockcast_zone_t     *zone;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;
    zone = bmcf->zone;

    if (s == NULL || s->has_left) {
        return;
    }

    s->has_left = 1;

    /*
     * Give up the lease before this worker counts as exiting: if two workers
     * exit at the same time, the last one needs the lease to close the file.
     * The caller stops the polls before it returns to the event loop, so
     * nothing is published without the lease.
     */

    ngx_http_blockcast_lease_drop(zone);

    if (!ngx_http_blockcast_worker_record_last(zone)) {
        ngx_http_blockcast_test_moment("leave: not the last");
        return;
    }

    if (zone->sh->role == ngx_http_blockcast_follower) {

        /* the leader no longer has to poll for this nginx's clients */

        if (s->lock != -1) {
            (void) ngx_http_blockcast_journal_lead_lock(
                                        s, F_UNLCK,
                                        NGX_HTTP_BLOCKCAST_FOLLOWS);
        }

        return;
    }

    if (ngx_http_blockcast_lease_hold(zone, &taken) != NGX_OK
        || !ngx_http_blockcast_journal_lead(bmcf))
    {
        return;
    }

    ngx_http_blockcast_journal_sync_finish(bmcf);
    ngx_http_blockcast_journal_file_finish(bmcf);

    /* let another nginx take over however long the disk takes now; our
       remaining clients follow it */

    zone->sh->role = ngx_http_blockcast_follower;

    if (ngx_http_blockcast_lease_held(zone)) {
        ngx_http_blockcast_journal_lead_release(s);
    }

    if (s->fd != -1 && !s->incomplete) {

        if (s->lock != -1) {
            (void) fdatasync(s->lock);
        }

        if (fdatasync(s->fd) == -1) {
            ngx_http_blockcast_journal_file_fail(s, "fdatasync()",
                                                 ngx_errno);

        } else {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "blockcast: the state file \"%V\" is complete, this "
                          "nginx polls no longer", &s->path);
        }
    }

    ngx_http_blockcast_journal_stop(bmcf);
}


void
ngx_http_blockcast_journal_follow(ngx_http_blockcast_main_conf_t *bmcf)
{
    if (bmcf->journal == NULL) {
        return;
    }

    if (bmcf->zone->sh->role == ngx_http_blockcast_leader) {

        /* a draining worker checks whether its family still leads */

        if (!ngx_exiting || !ngx_http_blockcast_journal_lead_lost(
                                        bmcf->journal)) {
            return;
        }

        bmcf->zone->sh->role = ngx_http_blockcast_follower;
    }

    ngx_http_blockcast_journal_read(bmcf, 0);
}


/* Records now and then, for nginxes that follow, that the data is fresh. */

static void
ngx_http_blockcast_journal_polled(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_slot_t *slot)
{
    ngx_str_t                      record;
    ngx_uint_t                     unsynced;
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if (s == NULL || !s->ready
        || (!s->has_followers
            && ngx_current_msec - slot->polled_recorded
               < NGX_HTTP_BLOCKCAST_RECORD_AGAIN))
    {
        return;
    }

    if (ngx_http_blockcast_snapshot_begin(bmcf->zone, ngx_cycle->log)
        != NGX_OK)
    {
        return;
    }

    slot->polled_recorded = ngx_current_msec;

    /* such a record does not count as unsynced */

    unsynced = s->unsynced;

    ngx_http_blockcast_journal_codec_polled(slot, &record);
    ngx_http_blockcast_journal_file_append(bmcf, &record);

    s->unsynced = unsynced;

    ngx_http_blockcast_snapshot_end(bmcf->zone);

    if (record.data != NULL) {
        ngx_free(record.data);
    }
}
