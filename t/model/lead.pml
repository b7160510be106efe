/*
 * The lead among masters with one state file, and the beat of who has it.  If
 * this model fails, two nginxes give one number to two contents during a binary
 * upgrade, or one stuck worker keeps everybody from polling for ever.
 *
 * It stands for
 *     ngx_http_blockcast_journal_lead_owns()         the claim, in the section
 *     ngx_http_blockcast_journal_lead_is_silent()    the looks at a beat
 *     ngx_http_blockcast_journal_lead_beat()         written without the section,
 *                                                    and without the owner
 *     ngx_http_blockcast_journal_lead()              reads the whole file first
 *     ngx_http_blockcast_journal_lead_write_begin()  the section, then a look
 *     ngx_http_blockcast_journal_file_append()       then the file
 *     ngx_http_blockcast_snapshot_commit()           then the zone: clients see it
 *
 * Each family is the one worker that has its lease (zone.pml has the lease).
 * One may be killed at any step: the kernel gives back its section, and its
 * family is gone.  One that is not scheduled is one that is stopped, and may
 * go on at any step.  Time is not there: a follower may have made its looks
 * before the leader has done anything, so nothing here relies on 1.5 s being
 * long enough for safety.
 *
 * With LIVENESS a family may be stuck for ever, outside of the section, and
 * another one must lead then.
 *
 * Faults, each of which must be found:
 *     FAULT_LOOK_ALONE     no section: a look at the record, then the writes
 *     FAULT_READ_FIRST     the file is read before the lead is had
 *     FAULT_OWNER_BEATS    the beat is written with the owner
 *     FAULT_PID            (LIVENESS) who is there is taken for alive
 */

#ifndef FAMILIES
#define FAMILIES   2
#endif

#ifndef PUBLISHES
#define PUBLISHES  2        /* of each family */
#endif

#define SEQS       (FAMILIES * PUBLISHES + 1)
#define LOOKS      2
#define NOBODY     255


/* PATH.lock */
byte  owner = NOBODY;
bit   beat;
byte  section = NOBODY;

/* the state file: the content of each number */
byte  file[SEQS + 2];
byte  end;                  /* newest number in it */

/* what clients have seen, those of any family */
byte  seen[SEQS + 2];

bool  dead[FAMILIES];
bool  stuck[FAMILIES];
byte  deaths;
bool  polled[FAMILIES];     /* LIVENESS: led, and went round once more */


#ifdef LIVENESS
#define MORE  true
#define GO    !stuck[n] ->
#else
#define MORE  (made < PUBLISHES)
#define GO    skip ->
#endif


proctype family(byte n)
{
    byte  seq, looks, made, mine;
    bit   last;
    bool  ready, silent;

    {
    do
    :: !MORE ->
        break

    :: (MORE && owner == n && ready) ->

        /* a tick: a sign of life */

#ifdef FAULT_OWNER_BEATS
        atomic { GO owner = n; beat = 1 - beat };
#else
        atomic { GO beat = 1 - beat };
#endif

#ifdef LIVENESS
        atomic { GO polled[n] = true };
        polled[n] = false
#else
        /* a poll, its message built with the next number */

        seq++;
        made++;
        mine = n * PUBLISHES + made;

#ifndef FAULT_LOOK_ALONE
        atomic { section == NOBODY -> section = n };
#endif

        if
        :: owner == n ->
            atomic { file[seq] = mine; end = (seq > end -> seq : end) };
            atomic {
                assert(file[seq] == mine);
                assert(seen[seq] == 0);
                seen[seq] = mine
            }

        :: else ->
            ready = false
        fi;

#ifndef FAULT_LOOK_ALONE
        section = NOBODY
#else
        skip
#endif
#endif

    :: (MORE && !(owner == n && ready)) ->

        ready = false;
        silent = false;

#ifdef FAULT_READ_FIRST
        seq = end;
#endif

        atomic { GO
            if
            :: (owner == n || owner == NOBODY) ->
                silent = true

            :: else ->
                if
                :: dead[owner] ->

                    /* its lock is free: all its processes are gone */
                    silent = true

                :: else ->
                    if
                    :: (looks == 0 || beat != last) ->
                        last = beat;
                        looks = 1
                    :: else ->
                        looks++
                    fi;

#ifndef FAULT_PID
                    silent = (looks > LOOKS)
#endif
                fi
            fi
        };

        if
        :: silent ->
            atomic { GO section == NOBODY -> section = n };

            atomic {
                if
                :: (owner == n || owner == NOBODY || dead[owner]
                    || (beat == last && looks > LOOKS)) ->
                    owner = n;
                    beat = 1 - beat;
                    ready = true
                :: else
                fi;
                looks = 0
            };

            section = NOBODY;

#ifndef FAULT_READ_FIRST
            /* to the end: whoever led before can add nothing any more */

            if
            :: ready -> seq = end
            :: else
            fi
#endif
        :: else ->
            looks = (looks > LOOKS -> LOOKS + 1 : looks)
        fi
    od
    } unless { dead[n] }
}


#ifndef LIVENESS

/* SIGKILL, at any step: of all of a family, the kernel frees the section */

active proctype killer()
{
    byte  n;

    do
    :: deaths < FAMILIES - 1 ->
        atomic {
            select(n : 0 .. FAMILIES - 1);
            if
            :: !dead[n] ->
                dead[n] = true;
                deaths++;
                if
                :: section == n -> section = NOBODY
                :: else
                fi
            :: else
            fi
        }

    :: break
    od
}

#else

/* SIGSTOP for ever: outside of the section, where the others are told */

active proctype stopper()
{
    if
    :: atomic { (owner == 0 && section != 0) -> stuck[0] = true }
    :: skip
    fi
}

ltl somebody_polls { [] ((stuck[0] && !stuck[1]) -> <> polled[1]) }

#endif


init {
    byte  i;

    atomic {
        for (i : 0 .. FAMILIES - 1) {
            run family(i)
        }
    }
}
