/*
 * A log that is emptied while nobody's connection ends (FLUSHALL, an eviction),
 * and workers that begin anew while their zone stays: after a reload, or a
 * death.  If this model fails, two gateways lead in one log, and a number has
 * two contents.
 *
 * It stands for
 *     ngx_http_blockcast_cluster_opened()      what a connection forgets
 *     ngx_http_blockcast_cluster_entries()     a reply, when the log is read
 *     ngx_http_blockcast_cluster_entry()       ... and what has to follow what
 *     ngx_http_blockcast_cluster_seen()        what the zone remembers: seen_term,
 *                                              seen_n
 *     ngx_http_blockcast_cluster_lacks()       ... and the log does not have
 *     ngx_http_blockcast_cluster_ask_there()   does the log go as far as we read?
 *     ngx_http_blockcast_cluster_look_for()    ... before who wants to lead does
 *     ngx_http_blockcast_cluster_begin()       the term and the floors of a begin
 *     ngx_http_blockcast_cluster_append()      NOMKSTREAM
 *     ngx_http_blockcast_cluster_emptied()     noticed, and read again
 *     bc_cluster_follows()                     the chain
 *
 * The log is that of Redis: who asks for what is beyond an id is told nothing of
 * smaller ones, and XADD refuses an id that is not greater than the newest one,
 * but knows of none when the log has gone.  It is read in replies of COUNT
 * entries, as they are at the time of the answer, until one has fewer; the rest
 * comes while the gateway follows.  Anybody may want to lead at any moment.
 * All have read the begin of a log, so they have one epoch, and may have nothing
 * else.  Clocks are in cluster.pml: here each jump is beyond all that was given.  A
 * worker may begin anew at any step.
 *
 * Faults, each of which must be found:
 *     FAULT_TERM        a worker knows the terms that it has read itself
 *     FAULT_BEGIN       a begin of one that has read a log begins another one
 *                       (and so does whatever comes before that is noticed)
 *     FAULT_UNREAD      who leads has not read up to its begin
 *     FAULT_EMPTY       a log that is empty begins with the numbers that are
 *                       known here
 */

#ifndef GATEWAYS
#define GATEWAYS   2
#endif

#ifndef PUBLISHES
#define PUBLISHES  2        /* in all */
#endif

#ifndef FLUSHES
#define FLUSHES    1
#endif

#ifndef RESTARTS
#define RESTARTS   1        /* of a worker, in all */
#endif

#ifndef BEGINS
#define BEGINS     3        /* in all */
#endif

#ifndef COUNT
#define COUNT      2        /* entries of a reply */
#endif

#define ENTRIES    (1 + BEGINS + PUBLISHES)
#define JUMP       (PUBLISHES + 1)
#define SEQS       (BEGINS * JUMP + PUBLISHES + 1)

/* TERM-N */
#define ID(t, n)   ((t) * 16 + (n))
#define TERM(id)   ((id) / 16)


byte  log_id[ENTRIES + 1];
byte  log_seq[ENTRIES + 1];     /* 0: a begin */
byte  log_value[ENTRIES + 1];   /* the content; of a begin, its floor */
byte  log_prev[ENTRIES + 1];    /* of a begin: what its author has read last */
byte  log_author[ENTRIES + 1];
byte  end;

byte  seen[SEQS + 1];           /* by clients: the content of each number */

byte  contents, begins, flushes, restarts, jumps;


/* an entry of the log, the one after `at`, is taken */

inline take(at)
{
    cur = log_id[at];
    value = log_value[at];
    known = (TERM(cur) > known -> TERM(cur) : known);
    zone_id = (cur > zone_id -> cur : zone_id);

    if
    :: (log_seq[at] == 0 && log_value[at] > number) -> number = log_value[at]
    :: (log_seq[at] > number) ->
        number = log_seq[at];
        assert(seen[number] == 0 || seen[number] == log_value[at]);
        seen[number] = log_value[at]
    :: else
    fi
}


/* finds the first entry beyond cur: end + 1 when there is none */

inline find_next()
{
    i = 1;

    do
    :: (i <= end && log_id[i] <= cur) -> i++
    :: else -> break
    od
}


#define RESTART                                                               \
    :: atomic { restarts < RESTARTS -> restarts++; known = 0; noticed = false;\
                goto connect }

#define FOLLOWS  (log_id[i] == cur + 1                                        \
                  || (log_seq[i] == 0 && log_prev[i] == cur))


proctype gateway(byte me)
{
    /* the zone's, which outlives a worker */
    byte  number;           /* the newest one, or a floor */
    byte  zone_id = ID(1, 0);   /* the greatest whose entry is in the zone */

    /* a worker's */
    byte  known;            /* the greatest term */
    byte  cur;              /* the newest entry that was read, or 0 */
    byte  value;            /* ... its content */
    bool  noticed;          /* that the log has changed */

    byte  i, n, begin, least, seq, content;

connect:
    atomic { cur = 0; value = 0; i = 0; n = 0; begin = 0; least = 0; seq = 0;
             content = 0 };

    /* sync: replies of COUNT entries, until one has fewer */

    do
    :: d_step {
        find_next();
        n = 0;

        do
        :: (n < COUNT && i <= end) -> take(i); i++; n++
        :: else -> break
        od;

        i = 0
       };

        if
        :: n < COUNT -> n = 0; break
        :: n == COUNT -> n = 0
        fi
    od;

    /* follows */

    do
    :: atomic { (end != 0 && cur < log_id[end]) ->
        find_next();

        if
        :: FOLLOWS -> take(i)
        :: else -> goto connect
        fi;

        i = 0
       }

    :: atomic { (cur != 0 && (end == 0 || log_id[end] < cur)) ->

        /* the log does not go as far as we have read */

        noticed = true;
        goto connect
       }

    RESTART

    :: atomic { (begins < BEGINS && contents < PUBLISHES) ->

        /* wants to lead: is what was read last still there? */

        i = 1;

        do
        :: (i <= end && (log_id[i] != cur || log_value[i] != value)) -> i++
        :: else -> break
        od;

        if
        :: (cur != 0 && i > end) ->
            i = 0;
            noticed = true;
            goto connect
        :: else -> i = 0
        fi;

        begins++;
        least = number;

#ifndef FAULT_EMPTY
        if
        :: ((cur == 0 && !(number == 0 && zone_id == 0))
            || cur < zone_id || noticed) ->
#else
        if
        :: (cur != 0 && (cur < zone_id || noticed)) ->
#endif
            jumps++;
            least = jumps * JUMP
        :: else
        fi;

        noticed = false;
#ifdef FAULT_TERM
        n = known;
#else
        n = (TERM(zone_id) > known -> TERM(zone_id) : known);
#endif
        begin = ID(n + 1, 0);
        n = 0
       };

        /* XADD, which may be late */

        if
        :: atomic { ((end != 0 && log_id[end] < begin)
                     || (end == 0 && cur == 0)
#ifdef FAULT_BEGIN
                     || end == 0
#endif
                     ) ->
            end++;
            log_id[end] = begin;
            log_seq[end] = 0;
            log_value[end] = least;
            log_prev[end] = cur;
            log_author[end] = me;
            least = 0
           }

        :: atomic { (end != 0 && log_id[end] >= begin) ->

            /* refused: another one was faster */

            begin = 0;
            least = 0;
            goto again
           }

#ifndef FAULT_BEGIN
        :: atomic { (end == 0 && cur != 0) -> noticed = true; goto connect }
#endif

        RESTART
        fi;

        if
        :: goto connect                 /* the answer is lost */
        :: skip
        fi;

        /* reads up to its begin */

#ifndef FAULT_UNREAD
        do
        :: atomic { (end != 0 && cur < log_id[end]) ->
            find_next();

            if
            :: FOLLOWS ->
                take(i);

                if
                :: (cur == begin && log_author[i] == me) -> i = 0; break
                :: (cur >= begin && !(cur == begin && log_author[i] == me)) ->
                    i = 0;
                    begin = 0;
                    goto again
                :: else -> i = 0
                fi
            :: else -> goto connect
            fi
           }

        :: atomic { (end == 0 || log_id[end] < begin) -> goto connect }

        RESTART
        od;
#else
        cur = begin;
#endif

        /* leads */

        do
        :: atomic { contents < PUBLISHES ->
            contents++;
            content = contents;
            seq = number + 1
           };

            if
            :: atomic { (end != 0 && log_id[end] <= cur) ->
                end++;
                cur++;
                log_id[end] = cur;
                log_seq[end] = seq;
                log_value[end] = content;
                log_prev[end] = 0;
                log_author[end] = me
               }

            :: atomic { (end != 0 && log_id[end] > cur) -> goto connect }
            :: atomic { end == 0 -> noticed = true; goto connect }

            RESTART
            fi;

            /* the answer: it is shown, then noted */

            if
            :: atomic {
                number = seq;
                assert(seen[number] == 0 || seen[number] == content);
                seen[number] = content
               }
            :: goto connect
            RESTART
            fi;

            if
            :: atomic { zone_id = cur; value = content; seq = 0; content = 0 }
            RESTART
            fi

        :: atomic { (end == 0 || log_id[1] > begin) ->

            /* looks once a second: another log, noticed by its first entry */

            noticed = true;
            goto connect
           }

        :: goto connect

        RESTART
        od;

again:
        skip

    :: atomic { (contents >= PUBLISHES || begins >= BEGINS) -> break }
    od
}


/* empties the log; nobody's connection ends */

active proctype engine()
{
    do
    :: (flushes < FLUSHES && end != 0) ->
        d_step {
            flushes++;

            do
            :: end > 0 ->
                log_id[end] = 0;
                log_seq[end] = 0;
                log_value[end] = 0;
                log_prev[end] = 0;
                log_author[end] = 0;
                end--
            :: else -> break
            od
        }
    :: break
    od
}


init {
    byte  i;

    atomic {
        end = 1;
        log_id[end] = ID(1, 0);
        log_author[end] = GATEWAYS;

        for (i : 0 .. GATEWAYS - 1) {
            run gateway(i)
        }
    }
}
