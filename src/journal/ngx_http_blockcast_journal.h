
/*
 * The state file: what a restarted nginx goes on with.
 *
 * One file holds an image of all streams and, behind it, a journal: a record
 * is appended with one write() before each publish becomes visible, so the
 * death of all processes loses nothing that a client has seen.  That is less
 * than a checkpoint at each interval would write, and needs no second file
 * that might not fit the first.  At the interval what was appended is synced,
 * for a power loss, by a thread; a new image is written, atomically, when the
 * journal has become large, or lacks something.  What a power loss takes from the end of the journal is less than "reserve" numbers: a start
 * after another boot goes on that far behind what it finds.
 *
 * Two masters share the file during a binary upgrade.  Their families have
 * zones of their own, and the file PATH.lock tells who leads, by a record and
 * by locks (see _state_lead): those that follow read what the leader appends.
 * The locks belong to a descriptor that the master has opened and the workers
 * inherited, so the kernel gives them back with the last process of a family;
 * one of whose workers the one that polls gives no sign of life any more loses
 * the lead all the same.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_H_INCLUDED_


#include "ngx_http_blockcast.h"


typedef struct ngx_http_blockcast_journal_job_s  ngx_http_blockcast_journal_job_t;


struct ngx_http_blockcast_journal_s {
    ngx_str_t                     path;         /* with a NUL behind */
    char                         *name;         /* without its folder */
    char                         *lockname;
    char                         *folder;
    ngx_core_conf_t              *core;         /* who the workers are */
    ngx_atomic_t                 *unread;       /* in the zone */
    ngx_msec_t                    interval;

    int                           dir;          /* of the folder, or -1 */
    int                           lock;         /* of PATH.lock, or -1 */

    /* of the polling worker */
    int                           fd;           /* the journal's end, or -1 */
    ino_t                         inode;
    off_t                         size;
    off_t                         image;        /* ... of which this is */
    ngx_msec_t                    at;           /* last done at the interval */
    ngx_uint_t                    unsynced;     /* records */
    int                           error;        /* errno that was logged */
    off_t                         full;         /* no room for more, or 0 */
    ngx_http_blockcast_journal_job_t  *job;     /* what a thread does */

    /* of a worker that follows */
    int                           rfd;
    ino_t                         rinode;
    off_t                         rimage;       /* bytes of its image */
    off_t                         offset;

    /* the beat of who leads, as this worker saw it with its ticks */
    uint64_t                      seen_owner;
    uint64_t                      seen_beat;
    ngx_msec_t                    seen;         /* first */
    ngx_msec_t                    looked;       /* last */
    ngx_uint_t                    looks;

    unsigned                      ready:1;      /* this process has the lead */
    unsigned                      bare:1;       /* ... and no record says so */
    unsigned                      failing:1;    /* the file lacks something */
    unsigned                      followed:1;   /* other families are there */
    unsigned                      left:1;
    unsigned                      foreign:1;    /* rfd: of another epoch */
    unsigned                      whole:1;      /* rfd: of this boot, good */
    unsigned                      alien:1;      /* rfd: none of ours */
    unsigned                      noted:1;      /* the note is of ours */
    unsigned                      private:1;    /* lock: of this worker alone */
    unsigned                      unlocked:1;   /* lock: gone, which was said */
};


/* blockcast_state PATH [interval=TIME]; */
char *ngx_http_blockcast_journal_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/*
 * In the master, when a configuration is in force: takes the lock if nobody
 * has it, and reads the file when the zone is new or another family has led.
 * bmcf is NULL when nothing is configured.
 */
void ngx_http_blockcast_journal_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * For the worker that holds the lease: true when this family leads, and all
 * that was published before is in the zone.
 */
ngx_uint_t ngx_http_blockcast_journal_lead(
    ngx_http_blockcast_main_conf_t *bmcf);
/* it begins to poll: a new image, unless the file can be gone on with */
void ngx_http_blockcast_journal_begin(ngx_http_blockcast_main_conf_t *bmcf);
/* on its ticks: syncs, or makes a new image, when it is time */
void ngx_http_blockcast_journal_tick(ngx_http_blockcast_main_conf_t *bmcf);
/* something became visible that is not in the file */
void ngx_http_blockcast_journal_incomplete(
    ngx_http_blockcast_main_conf_t *bmcf);
/* it polls no longer */
void ngx_http_blockcast_journal_stop(ngx_http_blockcast_main_conf_t *bmcf);

/* a worker begins to exit: the last one closes the file and gives up the lead */
void ngx_http_blockcast_journal_leave(ngx_http_blockcast_main_conf_t *bmcf);

/* true: another nginx follows this one and may want any stream */
ngx_uint_t ngx_http_blockcast_journal_followed(
    ngx_http_blockcast_main_conf_t *bmcf);

/* any worker of a family that follows: takes over what the leader wrote */
void ngx_http_blockcast_journal_follow(ngx_http_blockcast_main_conf_t *bmcf);

/* false: another family has taken the lead, nothing may be published */
ngx_uint_t ngx_http_blockcast_journal_held(
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_H_INCLUDED_ */
