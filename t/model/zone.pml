/*
 * The zone's publish: double buffer, version word, lease and mutex.  If this
 * model fails, a client gets half of one message and half of another, two
 * contents under one number, or a number is left out.
 *
 * It stands for
 *     ngx_http_blockcast_lease_hold()          the lease: here it can be
 *                                              lost at any moment
 *     ngx_http_blockcast_snapshot_begin()      mutex, then a look at the lease
 *     ngx_http_blockcast_propose()             built before, committed within
 *     ngx_http_blockcast_snapshot_commit()     each of its writes is a step
 *     ngx_http_blockcast_snapshot_recover()    what a new poller does first
 *     ngx_http_blockcast_snapshot_read()       the copy, and the looks around
 *     ngx_unlock_mutexes()                     of nginx' master, after a death
 *
 * Workers publish.  One may be killed at any step, and stays dead; one that is
 * not scheduled is one that was stopped, and may go on at any step.
 *
 * Faults, each of which must be found:
 *     FAULT_LEASE_ALONE    no mutex: a look at the lease, then the writes
 *     FAULT_ONE_BUFFER     the buffer that is read is written
 *     FAULT_NO_RECOVERY    a new poller goes on with the number it finds
 *     FAULT_NO_LOOK        the reader does not look at the version again
 */

#ifndef WORKERS
#define WORKERS    2
#endif

#ifndef PUBLISHES
#define PUBLISHES  2        /* of each worker */
#endif

#define SEQS       (WORKERS * PUBLISHES + 1)

#define NOBODY     255


byte  lease = NOBODY;
byte  mutex = NOBODY;
bool  dead[WORKERS];
byte  deaths;

/* the slot: a buffer is two words, which a torn copy has of two contents */
byte  version;              /* grows: no ABA within the bounds */
byte  slot_seq;
byte  snap_seq[2];
byte  word_a[2];
byte  word_b[2];

/* what has become visible: the content of each number, and the newest */
byte  content[SEQS + 2];
byte  newest;


#ifdef FAULT_ONE_BUFFER
#define PLACE(v)  0
#else
#define PLACE(v)  ((v) & 1)
#endif


proctype worker(byte n)
{
    byte  seq, mine, to, made;

    {
    do
    :: made == PUBLISHES ->
        break

    :: else ->

        /* lease_hold(): the former holder's time is up, whatever it does */

        if
        :: atomic { lease != n -> lease = n };

#ifndef FAULT_NO_RECOVERY
            /* recover() */

            atomic { mutex == NOBODY -> mutex = n };

            if
            :: lease == n ->
                if
                :: version != 0 -> slot_seq = snap_seq[PLACE(version)]
                :: else
                fi
            :: else
            fi;

            mutex = NOBODY
#endif
        :: lease == n
        fi;

        /* publish(): built with the next number, each time another content */

        seq = slot_seq + 1;
        made++;
        mine = n * PUBLISHES + made;

#ifndef FAULT_LEASE_ALONE
        atomic { mutex == NOBODY -> mutex = n };
#endif

        if
        :: lease == n ->

            /* commit() */

            to = PLACE(version + 1);
            word_a[to] = mine;
            word_b[to] = mine;
            snap_seq[to] = seq;
            slot_seq = seq;

            /*
             * One increment: what it points to is what readers see.  The first
             * number that anybody sees may be a later one, when who began died.
             */

            atomic {
                version++;
                to = PLACE(version);

                assert(word_a[to] == word_b[to]);
                assert(newest == 0 || snap_seq[to] == newest + 1);
                assert(content[snap_seq[to]] == 0);

                newest = snap_seq[to];
                content[newest] = word_a[to]
            }

        :: else
        fi;

#ifndef FAULT_LEASE_ALONE
        mutex = NOBODY
#else
        skip
#endif
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
            :: !dead[n] -> dead[n] = true; deaths++
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
    byte  v, seq, a, b, last, looks;

    do
    :: looks == 2 ->
        break

    :: else ->
        v = version;

        if
        :: v == 0 -> goto next
        :: else
        fi;

        seq = snap_seq[PLACE(v)];
        a = word_a[PLACE(v)];
        b = word_b[PLACE(v)];

#ifndef FAULT_NO_LOOK
        if
        :: version != v -> goto next
        :: else
        fi;
#endif

        atomic {
            assert(a == b);
            assert(content[seq] == a);
            assert(seq >= last);
            last = seq
        };

next:
        looks++;
        v = 0; seq = 0; a = 0; b = 0
    od
}


init {
    byte  i;

    atomic {
        for (i : 0 .. WORKERS - 1) {
            run worker(i)
        }
    }
}
