
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


#ifndef _NGX_HTTP_BLOCKCAST_STATE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STATE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_state.h"


typedef struct ngx_http_blockcast_job_s  ngx_http_blockcast_job_t;


struct ngx_http_blockcast_state_s {
    ngx_str_t                     path;         /* with a NUL behind */
    char                         *name;         /* without its folder */
    char                         *lockname;
    char                         *folder;
    ngx_core_conf_t              *core;         /* who the workers are */
    ngx_atomic_t                 *unread;       /* in the zone */
    ngx_msec_t                    interval;
    u_char                       *file;         /* of its directive */
    ngx_uint_t                    line;

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
    ngx_http_blockcast_job_t     *job;          /* what a thread does */

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
char *ngx_http_blockcast_state_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Before a configuration is in force, and for nginx -t: what is there is ours,
 * and the workers will be able to write.  Changes nothing.
 */
ngx_int_t ngx_http_blockcast_state_check(ngx_http_blockcast_state_t *s,
    ngx_log_t *log);

/*
 * In the master, when a configuration is in force: takes the lock if nobody
 * has it, and reads the file when the zone is new or another family has led.
 * bmcf is NULL when nothing is configured.
 */
void ngx_http_blockcast_state_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * For the worker that holds the lease: true when this family leads, and all
 * that was published before is in the zone.
 */
ngx_uint_t ngx_http_blockcast_state_lead(ngx_http_blockcast_main_conf_t *bmcf);
/* it begins to poll: a new image, unless the file can be gone on with */
void ngx_http_blockcast_state_begin(ngx_http_blockcast_main_conf_t *bmcf);
/* on its ticks: syncs, or makes a new image, when it is time */
void ngx_http_blockcast_state_tick(ngx_http_blockcast_main_conf_t *bmcf);
/* something became visible that is not in the file */
void ngx_http_blockcast_state_incomplete(
    ngx_http_blockcast_main_conf_t *bmcf);
/* it polls no longer */
void ngx_http_blockcast_state_stop(ngx_http_blockcast_main_conf_t *bmcf);

/* a worker begins to exit: the last one closes the file and gives up the lead */
void ngx_http_blockcast_state_leave(ngx_http_blockcast_main_conf_t *bmcf);

/* true: another nginx follows this one and may want any stream */
ngx_uint_t ngx_http_blockcast_state_followed(
    ngx_http_blockcast_main_conf_t *bmcf);

/* any worker of a family that follows: takes over what the leader wrote */
void ngx_http_blockcast_state_follow(ngx_http_blockcast_main_conf_t *bmcf);

/* false: another family has taken the lead, nothing may be published */
ngx_uint_t ngx_http_blockcast_state_held(ngx_http_blockcast_main_conf_t *bmcf);

/* NGX_OK: the same, and no other takes it before the end; NGX_DECLINED */
ngx_int_t ngx_http_blockcast_state_write_begin(
    ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_state_write_end(ngx_http_blockcast_main_conf_t *bmcf);

/* a sign of life, which is to do for so long (0: until the next ticks) */
void ngx_http_blockcast_state_beat(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_msec_t lasts);

/*
 * Appends a record, before what it tells becomes visible.  A failure is
 * logged, and is no reason not to publish.
 */
void ngx_http_blockcast_state_append(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_str_t *record);


/* notes the number, which is about to become visible (_state_note) */
void ngx_http_blockcast_state_number(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st, uint64_t seq);

/* a good poll without a change: those that follow know that it is fresh */
void ngx_http_blockcast_state_polled(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_slot_t *slot);


/*
 * Between slots and records (_image).  Records are of ngx_alloc(); data is
 * NULL without memory.
 */

/* one record; of a log's batch when there are entries */
void ngx_http_blockcast_image_record(ngx_http_blockcast_stream_t *st,
    bc_state_type_e type, uint64_t seq, time_t timestamp, ngx_str_t *data,
    ngx_str_t *state, ngx_http_blockcast_entry_t *entries, ngx_uint_t n,
    ngx_str_t *record);

/* of a slot: polled (text NULL), or failed */
void ngx_http_blockcast_image_poll(ngx_http_blockcast_slot_t *slot,
    int64_t code, ngx_str_t *text, ngx_str_t *record);

/*
 * All streams of the configuration as the poller knows them, behind the room
 * for a header.
 */
void ngx_http_blockcast_image_make(ngx_http_blockcast_zone_t *zone,
    ngx_str_t *image);

/*
 * Takes over what records say and the zone does not know.  jump is added to
 * the numbers; redo: the zone is the leader's own, only what was about to be
 * published is missing.  Returns the number of streams.
 */
ngx_uint_t ngx_http_blockcast_image_apply(ngx_http_blockcast_zone_t *zone,
    const u_char *p, const u_char *last, uint64_t jump, ngx_uint_t redo);


#endif /* _NGX_HTTP_BLOCKCAST_STATE_H_INCLUDED_ */
