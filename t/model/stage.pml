/*
 * A large snapshot, which is written in pieces, with the mutex free between
 * them: to the state file ahead of its end, then to the buffer that nobody
 * reads.  If this model fails, a client gets parts of two messages, a number has
 * two contents, or the state file has something else than what was sent.
 *
 * It stands for
 *     ngx_http_blockcast_staging_step()          one step after the other
 *     ngx_http_blockcast_staging_put()           mutex, a look at the lease, a
 *                                                piece
 *     ngx_http_blockcast_snapshot_stage_piece()  the claim, with the first one
 *     ngx_http_blockcast_snapshot_is_staged()    whose the buffer is
 *     ngx_http_blockcast_staging_finish()        record, then the version word
 *     ngx_http_blockcast_snapshot_commit()       what is published at once
 *     ngx_http_blockcast_snapshot_commit_memory() ... and a program's memory
 *     ngx_http_blockcast_snapshot_recover()      what a new poller does first
 *     ngx_http_blockcast_journal_stage()         all but the record's last piece
 *     ngx_http_blockcast_journal_stage_commit()  the last one
 *     ngx_http_blockcast_journal_file_drop()     what is ahead is not of this one
 *     ngx_http_blockcast_snapshot_read_piece()   a reader, and its looks
 *     ngx_http_blockcast_hub_load_step()         ... from turn to turn
 *
 * A buffer and a record are of two pieces, which stands for any number: of more
 * than two, two are the one before and the one behind what happens in between.
 * A worker may lose the lease before any step, and take it again before any
 * step, in the midst of a publication too.  One may be killed at any step, and
 * the master gives back its mutex; one that is not scheduled is one that was
 * stopped.
 *
 * Faults, each of which must be found:
 *     FAULT_NO_CLAIM      who begins to fill the buffer in pieces is not counted
 *     FAULT_CLAIM_STAGED  ... is, but not who fills it at once
 *     FAULT_CLAIM_MEMORY  ... is, but not who copies it for the sake of a
 *                         program's memory
 *     FAULT_AHEAD         the last piece of a record is written behind whatever
 *                         is ahead in the file
 *     FAULT_SHOW_FIRST    the version word before the record
 *     FAULT_ONE_TURN      the lease is looked at with the first piece only
 *     FAULT_NO_LOOK       a reader in pieces looks at the version with the first
 *                         one only
 */

#ifndef WORKERS
#define WORKERS    2
#endif

#ifndef PUBLISHES
#define PUBLISHES  2        /* in all */
#endif

#ifndef TAKES
#define TAKES      3        /* of the lease, in all */
#endif

#ifndef MEMORIES
#define MEMORIES   1        /* of a program: published without other data */
#endif

#define SEQS       PUBLISHES
#define NOBODY     255


byte  lease = NOBODY;
byte  mutex = NOBODY;
bool  dead[WORKERS];
byte  deaths;
byte  takes;
byte  made;
byte  memories;             /* that were published */

/* the slot */
byte  version;
byte  slot_seq;
byte  claims;
byte  snap_seq[2];
byte  word_a[2];
byte  word_b[2];

/* the state file: its newest record, and the piece that is ahead */
byte  file_seq;
byte  file_a;
byte  file_b;
byte  ahead;

/* what has become visible */
byte  content[SEQS + 2];


#define PLACE(v)   ((v) & 1)
#define NUMBER     made++; mine = made; seq = slot_seq + 1; own_ahead = false
#define DONE       atomic { mutex = NOBODY; seq = 0; mine = 0; to = 0; \
                            claim = 0; former = 0; own_ahead = false }
#define TAKE       takes++; lease = n; own_ahead = false


/* what a new poller does first */

inline recover()
{
    atomic { mutex == NOBODY -> mutex = n };

    if
    :: (lease == n && version != 0 && memories < MEMORIES) -> slot_seq = snap_seq[PLACE(version)]
    :: else
    fi;

    mutex = NOBODY
}


inline lose_lease()
{
    if
    :: atomic { (lease != n && takes < TAKES) -> TAKE }; recover()
    :: skip
    fi
}


/* what is ahead is dropped; the record counts when all of it is there */

inline append_record()
{
    ahead = 0;
    atomic { file_seq = seq; file_a = mine; file_b = mine }
}


inline turn_over()
{
    snap_seq[to] = seq;
    slot_seq = seq;

    atomic {
        version++;
        assert(word_a[PLACE(version)] == word_b[PLACE(version)]);
        assert(content[seq] == 0);
        content[seq] = word_a[PLACE(version)];

#ifndef FAULT_SHOW_FIRST
        assert(file_seq == seq && file_a == content[seq]
               && file_b == content[seq])
#endif
    }
}


#define STAGED  (claims == claim && version == former && slot_seq + 1 == seq)

#ifdef FAULT_ONE_TURN
#define HELD    true
#else
#define HELD    (lease == n)
#endif


proctype worker(byte n)
{
    byte  seq, mine, to, claim, former;
    bool  own_ahead;

    {
    do
    :: made == PUBLISHES -> break

    :: atomic { (lease != n && takes < TAKES) -> TAKE }; recover()

    :: atomic { (lease == n && made < PUBLISHES) -> NUMBER };

        /* at once */

        atomic { mutex == NOBODY -> mutex = n };

        if
        :: lease == n ->
            append_record();

#if !defined(FAULT_NO_CLAIM) && !defined(FAULT_CLAIM_STAGED)
            claims++;
#endif
            to = PLACE(version + 1);
            word_a[to] = mine;
            word_b[to] = mine;
            turn_over()
        :: else
        fi;

        DONE

    :: (lease == n && version != 0 && memories < MEMORIES) ->

        /* the same data with another memory, which is not modelled here */

        atomic { mutex == NOBODY -> mutex = n };

        if
        :: (lease == n && memories < MEMORIES) ->
            memories++;
#ifndef FAULT_CLAIM_MEMORY
            claims++;
#endif
            to = PLACE(version + 1);
            word_a[to] = word_a[PLACE(version)];
            word_b[to] = word_b[PLACE(version)];
            snap_seq[to] = snap_seq[PLACE(version)];
            version++
        :: else
        fi;

        DONE

    :: atomic { (lease == n && made < PUBLISHES) -> NUMBER };

        /* in pieces: the record's first one, ahead of the file's end */

        atomic { mutex == NOBODY -> mutex = n };

        if
        :: lease == n -> ahead = mine; own_ahead = true
        :: else -> goto lost
        fi;

        mutex = NOBODY;
        lose_lease();

        /* the first one of the buffer */

        atomic { mutex == NOBODY -> mutex = n };

        if
        :: (lease == n && slot_seq + 1 == seq) ->
#ifndef FAULT_NO_CLAIM
            claims++;
#endif
            atomic { claim = claims; former = version; to = PLACE(former + 1) };
            word_a[to] = mine
        :: else -> goto lost
        fi;

        mutex = NOBODY;
        lose_lease();

        /* the other one */

        atomic { mutex == NOBODY -> mutex = n };

        if
        :: (HELD && STAGED) -> word_b[to] = mine
        :: else -> goto lost
        fi;

        mutex = NOBODY;
        lose_lease();

        /* commit */

        atomic { mutex == NOBODY -> mutex = n };

        if
        :: (HELD && STAGED) ->

#ifdef FAULT_SHOW_FIRST
            turn_over();
#endif

#ifndef FAULT_AHEAD
            if
            :: own_ahead ->
                atomic { file_seq = seq; file_a = ahead; file_b = mine };
                ahead = 0
            :: else -> append_record()
            fi;
#else
            atomic { file_seq = seq; file_a = ahead; file_b = mine };
            ahead = 0;
#endif

#ifndef FAULT_SHOW_FIRST
            turn_over()
#else
            skip
#endif
        :: else
        fi;

lost:
        DONE

    :: (lease != n && takes == TAKES) -> break
    od
    } unless { dead[n] }
}


/* SIGKILL, at any step; then the master gives back its mutex */

active proctype killer()
{
    byte  n;

    do
    :: deaths < WORKERS - 1 ->
        atomic {
            select(n : 0 .. WORKERS - 1);
            if
            :: !dead[n] ->
                dead[n] = true;
                deaths++;

                /* what a start would read of the file */

                assert(file_seq == 0 || content[file_seq] == 0
                       || (file_a == content[file_seq] && file_a == file_b));
#ifdef FAULT_SHOW_FIRST
                assert(version == 0 || file_seq >= snap_seq[PLACE(version)])
#endif
            :: else
            fi
        };

        atomic {
            if
            :: dead[n] && mutex == n -> mutex = NOBODY
            :: else
            fi
        }

    :: break
    od
}


active proctype reader()
{
    byte  v, seq, a, b;

end:
    atomic { version != 0 -> v = version };

    seq = snap_seq[PLACE(v)];

    if
    :: version != v -> goto next
    :: else
    fi;

    a = word_a[PLACE(v)];

#ifndef FAULT_NO_LOOK
    if
    :: version != v -> goto next
    :: else
    fi;
#endif

    b = word_b[PLACE(v)];

#ifndef FAULT_NO_LOOK
    if
    :: version != v -> goto next
    :: else
    fi;
#endif

    assert(a == b);
    assert(content[seq] == a);

next:
    skip
}


init {
    byte  i;

    atomic {
        for (i : 0 .. WORKERS - 1) {
            run worker(i)
        }
    }
}
