
/*
 * The lead among masters with the same state file.
 *
 * A record in PATH.lock names the family (a master and its workers) that
 * polls, and holds a beat, which the polling worker changes on each tick.
 * Clocks are not compared: a family that follows watches the beat, and takes
 * the lead when it has not changed for too long.  A worker that is stopped or
 * hangs, or whose pid was reused after it died, cannot keep the beat up,
 * whatever locks its descriptors hold.
 *
 * Locks of bytes of PATH.lock:
 *
 *     0    of the family that leads; the only one that versions without the
 *          record know.  A family that was found stuck may keep it: the record
 *          says so
 *     1    shared by the families that follow
 *     2    of the process (fcntl(2): released when it dies) that is about to
 *          change the record or what it guards: nobody takes the lead between
 *          its look at the record and the end of its publish.  It is held
 *          while one message is copied.  A process that is stopped right then
 *          holds up the others, which log that, until it resumes or is killed:
 *          otherwise one number could get two contents
 *     beyond 2^62: one for each family, as long as any of its processes lives
 */


#include "ngx_http_blockcast_journal_lead.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_journal_file.h"
#include "bc_journal.h"

#include <fcntl.h>


#define NGX_HTTP_BLOCKCAST_SECTION    2
#define NGX_HTTP_BLOCKCAST_FAMILIES   ((off_t) 1 << 62)

/* the record: where it is, and its first word */
#define NGX_HTTP_BLOCKCAST_LEAD_AT    BC_JOURNAL_LEAD
#define NGX_HTTP_BLOCKCAST_LEAD_MAGIC 0x6c65616462636173ULL

/*
 * how often a beat must be seen unchanged, as the worker that watches may have
 * been stopped itself
 */
#define NGX_HTTP_BLOCKCAST_BEAT_CHECKS  5

/*
 * how long to wait for the section (msec), and how often a failure is logged
 * (sec)
 */
#define NGX_HTTP_BLOCKCAST_WAIT       20
#define NGX_HTTP_BLOCKCAST_LOG_AGAIN  10


typedef struct {
    uint64_t                      magic;
    uint64_t                      owner;        /* family, or 0 */
    uint64_t                      without;      /* it has not got byte 0 */
    uint64_t                      beat;
    uint64_t                      lasts;        /* msec, when that is long */
} ngx_http_blockcast_lead_t;


/* of the master and all its workers, of any configuration */

static uint64_t  ngx_http_blockcast_family;


static int
ngx_http_blockcast_journal_lead_fcntl(ngx_http_blockcast_journal_t *s, int cmd,
    short type, off_t byte, struct flock *fl)
{
    ngx_memzero(fl, sizeof(struct flock));

    fl->l_type = type;
    fl->l_whence = SEEK_SET;
    fl->l_start = byte;
    fl->l_len = 1;

    return fcntl(s->lock, cmd, fl);
}


ngx_int_t
ngx_http_blockcast_journal_lead_lock(ngx_http_blockcast_journal_t *s,
    short type, off_t byte)
{
    struct flock  fl;

    return (ngx_http_blockcast_journal_lead_fcntl(s, F_OFD_SETLK, type, byte,
                                                  &fl)
            == 0)
           ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_blockcast_journal_lead_join(ngx_http_blockcast_journal_t *s)
{
    int  fd;

    if (s->lock == -1) {
        return;
    }

    while (ngx_http_blockcast_family == 0) {

        fd = open("/dev/urandom", O_RDONLY|O_CLOEXEC);

        if (fd == -1
            || read(fd, &ngx_http_blockcast_family, sizeof(uint64_t))
               != sizeof(uint64_t))
        {
            ngx_http_blockcast_family = ngx_http_blockcast_zone_usec()
                                        ^ ((uint64_t) ngx_pid << 40);
        }

        if (fd != -1) {
            (void) close(fd);
        }

        ngx_http_blockcast_family &= NGX_HTTP_BLOCKCAST_FAMILIES - 1;
    }

    (void) ngx_http_blockcast_journal_lead_lock(s, F_WRLCK,
                       NGX_HTTP_BLOCKCAST_FAMILIES
                       + (off_t) ngx_http_blockcast_family);
}


static void
ngx_http_blockcast_journal_lead_read(ngx_http_blockcast_journal_t *s,
    ngx_http_blockcast_lead_t *lead)
{
    if (pread(s->lock, lead, sizeof(ngx_http_blockcast_lead_t),
              NGX_HTTP_BLOCKCAST_LEAD_AT)
        != sizeof(ngx_http_blockcast_lead_t)
        || lead->magic != NGX_HTTP_BLOCKCAST_LEAD_MAGIC
        || lead->owner >= (uint64_t) NGX_HTTP_BLOCKCAST_FAMILIES)
    {
        ngx_memzero(lead, sizeof(ngx_http_blockcast_lead_t));
    }
}


static ngx_int_t
ngx_http_blockcast_journal_lead_write(ngx_http_blockcast_journal_t *s,
    uint64_t owner, uint64_t without)
{
    ngx_http_blockcast_lead_t  lead;

    lead.magic = NGX_HTTP_BLOCKCAST_LEAD_MAGIC;
    lead.owner = owner;
    lead.without = without;
    lead.beat = ngx_http_blockcast_zone_usec();
    lead.lasts = 0;

    return (pwrite(s->lock, &lead, sizeof(ngx_http_blockcast_lead_t),
                   NGX_HTTP_BLOCKCAST_LEAD_AT)
            == sizeof(ngx_http_blockcast_lead_t))
           ? NGX_OK : NGX_ERROR;
}


ngx_uint_t
ngx_http_blockcast_journal_lead_is_record(const u_char *p)
{
    uint64_t  magic;

    ngx_memcpy(&magic, p, sizeof(uint64_t));

    return magic == 0 || magic == NGX_HTTP_BLOCKCAST_LEAD_MAGIC;
}


/*
 * Locks the section, waiting WAIT msec at most; logs which process holds it.
 */

static ngx_int_t
ngx_http_blockcast_journal_lead_enter_section(ngx_http_blockcast_journal_t *s)
{
    ngx_uint_t     i;
    struct flock   fl;
    static time_t  logged;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_WAIT; i++) {

        if (ngx_http_blockcast_journal_lead_fcntl(s, F_SETLK, F_WRLCK,
                                                  NGX_HTTP_BLOCKCAST_SECTION,
                                                  &fl)
            == 0)
        {
            return NGX_OK;
        }

        ngx_msleep(1);
    }

    if (ngx_time() - logged >= NGX_HTTP_BLOCKCAST_LOG_AGAIN
        && ngx_http_blockcast_journal_lead_fcntl(s, F_GETLK, F_WRLCK,
                                                 NGX_HTTP_BLOCKCAST_SECTION,
                                                 &fl)
           == 0
        && fl.l_type != F_UNLCK)
    {
        logged = ngx_time();

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "blockcast: \"%V\" is locked by process %P, which does "
                      "not go on; nothing is published until it does",
                      &s->path, fl.l_pid);
    }

    return NGX_DECLINED;
}


static void
ngx_http_blockcast_journal_lead_leave_section(ngx_http_blockcast_journal_t *s)
{
    struct flock  fl;

    (void) ngx_http_blockcast_journal_lead_fcntl(s, F_SETLK, F_UNLCK,
                                                 NGX_HTTP_BLOCKCAST_SECTION,
                                                 &fl);
}


/* Returns true when any process of a family exists, stuck or not. */

static ngx_uint_t
ngx_http_blockcast_journal_lead_family_exists(ngx_http_blockcast_journal_t *s,
    uint64_t family)
{
    struct flock  fl;

    return family != 0
           && ngx_http_blockcast_journal_lead_fcntl(s, F_OFD_GETLK, F_WRLCK,
                                                    NGX_HTTP_BLOCKCAST_FAMILIES
                                                    + (off_t) family, &fl)
              == 0
           && fl.l_type != F_UNLCK;
}


/*
 * Called on each tick: returns true when the beat has not changed for longer
 * than it may.
 */

static ngx_uint_t
ngx_http_blockcast_journal_lead_is_silent(ngx_http_blockcast_journal_t *s,
    ngx_http_blockcast_lead_t *lead)
{
    ngx_msec_t  lasts;

    if (s->beat_checks == 0
        || lead->owner != s->beat_owner
        || lead->beat != s->beat_value)
    {
        s->beat_owner = lead->owner;
        s->beat_value = lead->beat;
        s->beat_since = ngx_current_msec;
        s->beat_checked = ngx_current_msec;
        s->beat_checks = 1;

        return 0;
    }

    if (ngx_current_msec - s->beat_checked < NGX_HTTP_BLOCKCAST_TICK / 2) {
        return 0;
    }

    s->beat_checked = ngx_current_msec;
    s->beat_checks++;

    lasts = (ngx_msec_t) ngx_min(lead->lasts, NGX_HTTP_BLOCKCAST_LONGEST);
    lasts = ngx_max(lasts, NGX_HTTP_BLOCKCAST_STUCK);

    return s->beat_checks > NGX_HTTP_BLOCKCAST_BEAT_CHECKS
           && ngx_current_msec - s->beat_since > lasts;
}


/* Without a lock file this family leads: it cannot see any other one. */

ngx_uint_t
ngx_http_blockcast_journal_lead_leads(ngx_http_blockcast_journal_t *s)
{
    ngx_http_blockcast_lead_t  lead;

    if (s->lock == -1) {
        return 1;
    }

    ngx_http_blockcast_journal_lead_read(s, &lead);

    if (lead.owner == ngx_http_blockcast_family) {
        return 1;
    }

    /* the record could not be written: byte 0 decides, as in older versions */

    return s->without_record
           && !ngx_http_blockcast_journal_lead_family_exists(s, lead.owner)
           && ngx_http_blockcast_journal_lead_lock(s, F_WRLCK,
                                                   NGX_HTTP_BLOCKCAST_LEADS)
              == NGX_OK;
}


/*
 * Writes this family into the record unless it has changed since it was read
 * to *lead.  Called inside the section, which it leaves.  got: this family has
 * locked byte 0; silent: the leading family's beat has stopped.  Returns true
 * when this family leads now.
 */

static ngx_uint_t
ngx_http_blockcast_journal_lead_claim(ngx_http_blockcast_journal_t *s,
    ngx_http_blockcast_lead_t *lead, ngx_uint_t got, ngx_uint_t silent)
{
    ngx_uint_t                 owns;
    ngx_http_blockcast_lead_t  now;

    ngx_http_blockcast_journal_lead_read(s, &now);

    owns = 0;

    if (now.owner == lead->owner && (!silent || now.beat == lead->beat)) {

        if (ngx_http_blockcast_journal_lead_write(s, ngx_http_blockcast_family,
                                                  !got)
            == NGX_OK)
        {
            owns = 1;
            s->without_record = 0;

        } else if (got && !silent) {
            owns = 1;
            s->without_record = 1;
        }
    }

    ngx_http_blockcast_journal_lead_leave_section(s);

    if (!owns) {
        return 0;
    }

    s->beat_checks = 0;

    if (silent) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: the nginx that polls for \"%V\" hangs, this "
                      "one takes over", &s->path);
    }

    return 1;
}


ngx_uint_t
ngx_http_blockcast_journal_lead_owns(ngx_http_blockcast_journal_t *s)
{
    ngx_uint_t                 got, silent;
    ngx_http_blockcast_lead_t  lead;

    if (s->lock == -1) {
        return 1;
    }

    ngx_http_blockcast_journal_lead_read(s, &lead);

    /* workers of the previous configuration may have held these until now */

    ngx_http_blockcast_journal_lead_join(s);

    got = (ngx_http_blockcast_journal_lead_lock(s, F_WRLCK,
                                                NGX_HTTP_BLOCKCAST_LEADS)
           == NGX_OK);

    if (lead.owner == ngx_http_blockcast_family && !(got && lead.without)) {
        return 1;
    }

    silent = 0;

    if (lead.owner == ngx_http_blockcast_family) {

        /* the family that locked byte 0 has ended */

    } else if (ngx_http_blockcast_journal_lead_family_exists(s, lead.owner)) {

        silent = ngx_http_blockcast_journal_lead_is_silent(s, &lead);

        if (!silent) {
            goto follow;
        }

    } else if (!got && !lead.without) {

        /*
         * byte 0 belongs to an older version, which does not know the record
         */
        return 0;
    }

    if (ngx_http_blockcast_journal_lead_enter_section(s) != NGX_OK) {

        if (lead.owner == ngx_http_blockcast_family) {
            return 1;
        }

        goto follow;
    }

    if (ngx_http_blockcast_journal_lead_claim(s, &lead, got, silent)) {
        return 1;
    }

follow:

    if (got) {
        (void) ngx_http_blockcast_journal_lead_lock(s, F_UNLCK,
                                                    NGX_HTTP_BLOCKCAST_LEADS);
    }

    return 0;
}


ngx_uint_t
ngx_http_blockcast_journal_lead_lost(ngx_http_blockcast_journal_t *s)
{
    ngx_http_blockcast_lead_t  lead;

    if (s->lock == -1) {
        return 0;
    }

    ngx_http_blockcast_journal_lead_read(s, &lead);

    return lead.owner != ngx_http_blockcast_family
           && ngx_http_blockcast_journal_lead_family_exists(s, lead.owner);
}


void
ngx_http_blockcast_journal_lead_release(ngx_http_blockcast_journal_t *s)
{
    ngx_http_blockcast_lead_t  lead;

    if (s->lock == -1 || ngx_http_blockcast_journal_lead_enter_section(
                                        s) != NGX_OK) {

        /* the beat stops here: the others will find this family silent */
        return;
    }

    ngx_http_blockcast_journal_lead_read(s, &lead);

    if (lead.owner == ngx_http_blockcast_family) {
        (void) ngx_http_blockcast_journal_lead_write(s, 0, lead.without);
    }

    ngx_http_blockcast_journal_lead_leave_section(s);

    (void) ngx_http_blockcast_journal_lead_lock(s, F_UNLCK,
                                                NGX_HTTP_BLOCKCAST_LEADS);
}


void
ngx_http_blockcast_journal_lead_beat(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_msec_t lasts)
{
    uint64_t                       beat[2];
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if (s == NULL || !s->ready || s->lock == -1) {
        return;
    }

    /*
     * Leave the owner alone: a worker that was stopped before this line then
     * changes the new leader's beat once, which does no harm.
     */

    beat[0] = ngx_http_blockcast_zone_usec();
    beat[1] = lasts;

    if (pwrite(s->lock, beat, sizeof(beat), NGX_HTTP_BLOCKCAST_LEAD_AT
               + offsetof(ngx_http_blockcast_lead_t, beat))
        == -1)
    {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, ngx_errno,
                       "blockcast: pwrite() of the lock file failed");
    }
}


ngx_int_t
ngx_http_blockcast_journal_lead_write_begin(
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if (s == NULL) {
        return NGX_OK;
    }

    if (!s->ready) {
        return NGX_DECLINED;
    }

    if (s->lock != -1) {

        if (ngx_http_blockcast_journal_lead_enter_section(s) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (!ngx_http_blockcast_journal_lead_leads(s)) {
            ngx_http_blockcast_journal_lead_leave_section(s);
            return NGX_DECLINED;
        }
    }

    /* what was recorded before this write is in the zone by now */

    ngx_http_blockcast_journal_lead_mark(bmcf);

    return NGX_OK;
}


/*
 * Notes in the zone, whose lock is held, that it has all records of the file
 * up to here: a worker that polls after this one need not read them.  It reads
 * the header, and compares the inode and the image's size, so a file that
 * another nginx has put in place is read from its beginning.
 */

void
ngx_http_blockcast_journal_lead_mark(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_journal_t     *s;
    ngx_http_blockcast_zone_shctx_t  *sh;

    s = bmcf->journal;
    sh = bmcf->zone->sh;

    if (s->fd == -1 || s->incomplete || s->scratch) {
        return;
    }

    if (sh->file_inode != (ngx_atomic_uint_t) s->inode
        || sh->file_image != (ngx_atomic_uint_t) s->image_size)
    {
        /* who dies in between leaves none */

        sh->file_mark = 0;
        ngx_memory_barrier();

        sh->file_inode = (ngx_atomic_uint_t) s->inode;
        sh->file_image = (ngx_atomic_uint_t) s->image_size;
        ngx_memory_barrier();
    }

    sh->file_mark = (ngx_atomic_uint_t) s->size;
}


void
ngx_http_blockcast_journal_lead_write_end(ngx_http_blockcast_main_conf_t *bmcf)
{
    if (bmcf->journal == NULL) {
        return;
    }

    if (bmcf->cluster == NULL) {

        /* of a cluster's record the zone gets what is in it after this */

        ngx_http_blockcast_journal_lead_mark(bmcf);
    }

    if (bmcf->journal->lock != -1) {
        ngx_http_blockcast_journal_lead_leave_section(bmcf->journal);
    }
}
