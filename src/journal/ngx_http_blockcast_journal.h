
/*
 * The state file: what a restarted nginx continues from.
 *
 * One file holds an image of all streams and, behind it, a journal: one record
 * is appended with one write() before each publish becomes visible, so the
 * death of all processes loses nothing that a client has seen.  That writes
 * less than a checkpoint at each interval would, and there is no second file
 * that might not match the first.  At each interval a thread syncs what was
 * appended, against a power loss; a new image replaces the file atomically
 * when the journal has grown large or lacks something.  A power loss takes
 * fewer than "reserve" numbers from the journal's end, so a start after a
 * reboot skips that many numbers beyond the newest one it finds.
 *
 * Two masters share the file during a binary upgrade.  A family, a master and
 * its workers, has a zone of its own; PATH.lock says which family leads, by a
 * record and by locks (see _journal_lead), and the other ones read what the
 * leader appends.  The locks belong to a descriptor that the master opened and
 * the workers inherited, so the kernel releases them with the last process of
 * a family.  A family whose polling worker hangs loses the lead all the same.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_H_INCLUDED_


#include "ngx_http_blockcast.h"


typedef struct ngx_http_blockcast_journal_job_s
    ngx_http_blockcast_journal_job_t;


struct ngx_http_blockcast_journal_s {
    ngx_str_t                     path;         /* with a NUL behind */
    char                         *name;         /* without its folder */
    char                         *lockname;     /* NAME.lock */
    char                         *folder;
    ngx_core_conf_t              *core;         /* has the workers' user */
    const ngx_http_blockcast_recorder_t  *recorder;  /* the journal's own; a
                                                   cluster wraps it */
    ngx_atomic_t                 *read_error;   /* in the zone, or NULL: errno
                                                   that a worker has logged */
    ngx_msec_t                    interval;
    u_char                       *file;         /* of its directive */
    ngx_uint_t                    line;

    int                           dir;          /* of the folder, or -1 */
    int                           lock;         /* of PATH.lock, or -1 */

    /* of the polling worker */
    int                           fd;           /* to append to, or -1 */
    ino_t                         inode;
    off_t                         size;
    off_t                         image_size;   /* of the image in it */
    off_t                         ahead;        /* bytes after size: a part of
                                                   a record that is incomplete,
                                                   or was abandoned */
    void                         *ahead_of;     /* its stage, or NULL */
    ngx_msec_t                    synced_at;    /* last turn at the interval */
    ngx_uint_t                    unsynced;     /* records */
    int                           error;        /* errno that was logged */
    off_t                         full;         /* size for which the disk had
                                                   no room, or 0 */
    ngx_http_blockcast_journal_job_t  *job;     /* of the thread, or NULL */

    /* of a worker that follows */
    int                           read_fd;      /* or -1 */
    ino_t                         read_inode;
    off_t                         read_image_size;
    off_t                         read_offset;  /* read up to here */

    /* the leader's heartbeat, as this worker has read it on its ticks */
    uint64_t                      beat_owner;
    uint64_t                      beat_value;
    ngx_msec_t                    beat_since;   /* first seen */
    ngx_msec_t                    beat_checked; /* last seen */
    ngx_uint_t                    beat_checks;  /* times it was seen */

    uint64_t                      note_epoch;   /* as this worker has written
                                                   it to PATH.lock */

    unsigned                      ready:1;      /* this worker leads and has
                                                   read all before it */
    unsigned                      without_record:1;  /* the lead could not be
                                                   written to PATH.lock */
    unsigned                      incomplete:1;  /* the file lacks something */
    unsigned                      scratch:1;    /* fd has no name: what is
                                                   appended until there is an
                                                   image to put it behind */
    unsigned                      first:1;      /* polls wait for that image */
    unsigned                      has_followers:1;  /* other families follow */
    unsigned                      has_left:1;   /* this worker exits */
    unsigned                      other_epoch:1;  /* read_fd: is ignored */
    unsigned                      intact:1;     /* read_fd: of this boot, and
                                                   undamaged */
    unsigned                      not_ours:1;   /* read_fd: not a state file */
    unsigned                      note_valid:1;  /* this worker writes it */
    unsigned                      lock_private:1;  /* lock: of this worker */
    unsigned                      lock_loss_logged:1;
};


/* Handles blockcast_state PATH [interval=TIME]. */
char *ngx_http_blockcast_journal_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Takes the lead if no other family of processes has it, and reads the file
 * when the zone is new or another family leads.  Called in the master when a
 * configuration takes effect; bmcf is NULL when nothing is configured.
 */
void ngx_http_blockcast_journal_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Takes the lead if it can, on the ticks of the worker that holds the lease.
 * Returns true when its family leads and the zone has everything published so
 * far, so that the worker may poll.
 */
ngx_uint_t ngx_http_blockcast_journal_lead(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Writes a new image unless the file is complete; when a worker starts to
 * poll.  A large one is made in pieces: until it is there, or for a while,
 * _waits() is true, and nothing should be polled, as the death of all
 * processes would lose it.
 */
void ngx_http_blockcast_journal_begin(ngx_http_blockcast_main_conf_t *bmcf);
ngx_uint_t ngx_http_blockcast_journal_waits(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Starts a sync or a new image when it is due; called on the poller's ticks.
 */
void ngx_http_blockcast_journal_tick(ngx_http_blockcast_main_conf_t *bmcf);

/* Closes the file when the worker stops polling. */
void ngx_http_blockcast_journal_stop(ngx_http_blockcast_main_conf_t *bmcf);

/* Marks the file as incomplete: the next tick writes a new image. */
void ngx_http_blockcast_journal_incomplete(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Completes the file and gives up the lead when a worker starts to exit and no
 * other worker of its family can poll.
 */
void ngx_http_blockcast_journal_leave(ngx_http_blockcast_main_conf_t *bmcf);

/* Frees what the worker has when it ends, after the last of these. */
void ngx_http_blockcast_journal_done(ngx_http_blockcast_main_conf_t *bmcf);

/* Returns true when another nginx follows: its clients may want any stream. */
ngx_uint_t ngx_http_blockcast_journal_followed(
    ngx_http_blockcast_main_conf_t *bmcf);

/* Reads what the leader has written, in a worker of a family that follows. */
void ngx_http_blockcast_journal_follow(ngx_http_blockcast_main_conf_t *bmcf);

/* Returns true when this nginx may publish: it leads, or has no state file. */
ngx_uint_t ngx_http_blockcast_journal_held(
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_H_INCLUDED_ */
