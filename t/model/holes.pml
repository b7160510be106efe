/*
 * A log of entries, some of which the engine loses: what clients get of the
 * entries of a node, and in which order.  If this model fails, a client gets an
 * entry twice, or one out of order, or lacks one and is not told a gap.
 *
 * It stands for
 *     ngx_http_blockcast_cluster_entry()         what follows what: a hole, and
 *                                                what comes behind it
 *     ngx_http_blockcast_cluster_take_head()     a begin, or an image
 *     ngx_http_blockcast_cluster_apply_floors()  the jump in a begin
 *     ngx_http_blockcast_cluster_apply_image()   ... in an image, and its entries
 *     ngx_http_blockcast_journal_replay()        ... beyond those that are there
 *     ngx_http_blockcast_cluster_apply_record()  one entry, with its gap
 *     ngx_http_blockcast_cluster_wait()          who has to wait, and who hurries
 *     ngx_http_blockcast_cluster_begin()         when numbers jump
 *     ngx_http_blockcast_cluster_lead()          the image is first
 *     ngx_http_blockcast_cluster_send_image()
 *     ngx_http_blockcast_cluster_leading()       the looks, and later images
 *     ngx_http_blockcast_cluster_trim()
 *     ngx_http_blockcast_cluster_taken()         shown when the log has it
 *
 * A node shows its entries, 1, 2, 3 and so on.  Who leads publishes the first of
 * them that it does not have.  The engine loses its newest entries, with all
 * connections, and is another one then; or (TEARS) it loses any one, or the
 * newest ones, and nobody's connection ends.
 *
 * Time is in one place: who has what a log has lost leads within 50 ms, who
 * lacks it waits for 3 s.  So who lacks something that another gateway has does
 * not lead.  With RACE it does, if it has something else that the log has lost:
 * it does not wait either.  Then what was lost may come once more, as README
 * says, but nothing else, and nothing that a client has not got.
 *
 * Faults, each of which must be found:
 *     FAULT_IMAGE_LATE  what is published after a jump comes before the image
 *     FAULT_TORN        (TEARS) who finds a hole takes what comes behind it
 *     FAULT_NO_WAIT     who lacks something does not wait
 *     FAULT_LACKS       (TEARS) that the log lacks what is in the zone is not
 *                       looked at
 *     FAULT_PREV        (TEARS) a begin ends the wait for an image, and is no hole
 *                       when its author had read more than is there
 *     FAULT_FROM        (RACE) a begin with the floor that is there already says
 *                       nothing: its author may have more than who jumped first
 *     FAULT_IMAGE_JUMP  the jump is in the begin, and not in the image: the begin
 *                       may be trimmed (EXACT: no gap is told in vain)
 */

#ifndef GATEWAYS
#define GATEWAYS   2
#endif

#ifndef NODE
#define NODE       3        /* entries of the node: 1 and 2 are there already */
#endif

#ifndef PUBLISHES
#define PUBLISHES  2
#endif

#ifndef LOSSES
#define LOSSES     0        /* more of them */
#endif

#ifndef TEARS
#define TEARS      0
#endif

#ifndef KILLS
#define KILLS      1        /* of gateways */
#endif

#ifndef BEGINS
#define BEGINS     2
#endif

#ifndef IMAGES
#define IMAGES     2
#endif

#define ENTRIES    (3 + BEGINS + PUBLISHES + IMAGES)
#define JUMP       (PUBLISHES + 3)
#define SEQS       (BEGINS * JUMP + PUBLISHES + 2)

/* TERM-N */
#define ID(t, n)   ((t) * 16 + (n))
#define TERM(id)   ((id) / 16)

#if defined(RACE) || TEARS
#define AGAIN
#endif

#define BEGIN      1
#define RECORD     2
#define IMAGE      3


/* the log */
byte  log_id[ENTRIES + 1];
byte  log_kind[ENTRIES + 1];
byte  log_seq[ENTRIES + 1];     /* a floor, a number, an image's newest one */
byte  log_what[ENTRIES + 1];    /* what its author has announced, the entry of
                                   the node, a bit for each that is in it */
byte  log_prev[ENTRIES + 1];    /* of a begin: what its author has read last */
byte  log_from[ENTRIES + 1];    /* of an image: the jump in it, or 0; of a begin:
                                   its author */
byte  log_engine[ENTRIES + 1];  /* its identity */
byte  end;

byte  engine_is;                /* its identity */
byte  what[SEQS + 1];           /* each number's entry of the node */

byte  have[GATEWAYS];           /* a bit for each entry */
byte  sent[GATEWAYS];           /* ... that the log may have taken */

byte  lost;                     /* a bit for each that the engine has lost */

byte  published, kills, losses, tears, begins, images, jumps;


/* to a client: entry e under a number; told: that there is a gap */

inline give(e, told)
{
    if
    :: e > newest ->
        assert(told || e == newest + 1);
#ifdef EXACT
        assert(!told || e != newest + 1);
#endif

        newest = e;
        have[me] = have[me] | (1 << e)

    :: else ->
#ifdef AGAIN
        /* what it has got, once more, since the engine has lost it */

        assert((have[me] & lost & (1 << e)) != 0)
#else
        assert(false)
#endif
    fi
}


/* a second one to the same number may be of one that has more */

#ifdef FAULT_FROM
#define JUMPS(to)  ((to) > number)
#else
#define JUMPS(to)  ((to) > number                                             \
                    || ((to) == number && jump_to == number))
#endif


inline jump(from, to)
{
    if
    :: (jump_to == 0 || jump_to != number) -> jump_from = from
    :: else -> jump_from = (from > jump_from -> from : jump_from)
    fi;

    jump_to = to;
    number = to
}


inline one(s, e)
{
    assert(what[s] == 0 || what[s] == e);
    what[s] = e;

    if
    :: s > announced ->
        gap = !(s == announced + 1
                || (jump_to != 0 && s == jump_to + 1
                    && announced >= jump_from));
        announced = s;
        number = (s > number -> s : number);
        give(e, gap);
        gap = false
    :: else
    fi
}


/* all of it that is beyond what is there: it has what is before, too */

inline image(at)
{
    if
    :: (log_from[at] != 0 && JUMPS(log_prev[at])) ->
        jump(log_from[at], log_prev[at])
    :: else
    fi;

    s = announced + 1;

    do
    :: s <= log_seq[at] ->
        if
        :: (what[s] != 0 && (log_what[at] & (1 << what[s])) != 0
            && (have[me] & (1 << what[s])) == 0) ->
            give(what[s], what[s] != newest + 1);
            announced = s
        :: else
        fi;

        s++
    :: else -> break
    od;

    announced = (log_seq[at] > announced -> log_seq[at] : announced);
    number = (announced > number -> announced : number);
    s = 0
}


inline take(at)
{
    cur = log_id[at];

    if
    :: log_kind[at] == BEGIN ->
        former = log_engine[at];
#ifdef FAULT_PREV
        headless = false;
#else
        headless = (headless && log_prev[at] != 0);
#endif

        if
        :: JUMPS(log_seq[at]) -> jump(log_what[at], log_seq[at])
        :: else
        fi

    :: log_kind[at] == IMAGE ->
        former = log_engine[at];
        headless = false;
        torn = false;
        image(at)

    :: (log_kind[at] == RECORD && !headless) ->
        one(log_seq[at], log_what[at])

    :: else
    fi;

    zone_id = (cur > zone_id -> cur : zone_id)
}


inline find_next()
{
    d_step {
        i = 1;

        do
        :: (i <= end && log_id[i] <= cur) -> i++
        :: else -> break
        od;

        j = 0
    }
}

#define FOLLOWS  (log_id[i] == cur + 1                                        \
                  || (log_kind[i] == BEGIN && log_prev[i] == cur))

#define OTHER    (1 - me)

#define KILL                                                                  \
    :: atomic { kills < KILLS -> kills++; have[me] = 0; sent[me] = 0;         \
                goto gone }

#define LACKS    (((have[OTHER] | sent[OTHER]) & ~have[me]) != 0)


inline append(kind, seq)
{
    end++;
    log_id[end] = cur;
    log_kind[end] = kind;
    log_seq[end] = seq;
    log_engine[end] = engine_is
}


#ifdef AGAIN
inline LOST(a, b)
{
    j = a;

    do
    :: j <= b ->
        if
        :: log_kind[j] == RECORD -> lost = lost | (1 << log_what[j])
        :: log_kind[j] == IMAGE -> lost = lost | log_what[j]
        :: else
        fi;

        j++
    :: else -> j = 0; break
    od
}
#else
#define LOST(a, b)  skip
#endif


/* entries of the log are gone, from place a to b */

inline remove(a, b)
{
    d_step {
    j = b + 1;

    do
    :: j <= end ->
        log_id[a + j - b - 1] = log_id[j];
        log_kind[a + j - b - 1] = log_kind[j];
        log_seq[a + j - b - 1] = log_seq[j];
        log_what[a + j - b - 1] = log_what[j];
        log_prev[a + j - b - 1] = log_prev[j];
        log_from[a + j - b - 1] = log_from[j];
        log_engine[a + j - b - 1] = log_engine[j];
        j++
    :: else -> break
    od;

    j = b - a + 1;

    do
    :: j > 0 ->
        log_id[end] = 0;
        log_kind[end] = 0;
        log_seq[end] = 0;
        log_what[end] = 0;
        log_prev[end] = 0;
        log_from[end] = 0;
        log_engine[end] = 0;
        end--;
        j--
    :: else -> break
    od;

    j = 0
    }
}


inline append_first(at, kind, seq, e)
{
    end = at;
    log_id[end] = ID(1, at - 1);
    log_kind[end] = kind;
    log_seq[end] = seq;
    log_what[end] = e
}


proctype gateway(byte me; byte newest)
{
    /* the zone's */
    byte  announced = newest;
    byte  number = newest;
    byte  jump_from, jump_to;
    byte  zone_id = ID(1, newest);

    /* newest: that its clients have */

    /* a worker's */
    byte  cur, former, link;
    bool  noticed, headless, torn;

    byte  i, j, s, begin, floor, before;
    bool  gap, seed;

connect:
    atomic {
        link = engine_is;
        cur = 0;
        former = 255;
        headless = false;
        torn = false;
        seed = false;
        i = 0;
        begin = 0;
        floor = 0
    };

    /* sync: all that is there, or (PIECES) in replies of one entry */

    do
    :: link != engine_is -> goto connect

    :: atomic { (link == engine_is && end != 0 && cur < log_id[end]) ->
        do
        :: (end != 0 && cur < log_id[end]) ->
            find_next();
            before = cur;

            if
            :: cur == 0 -> headless = true
            :: (cur != 0 && !FOLLOWS && log_kind[i] != BEGIN) ->
                torn = true;
#ifndef FAULT_TORN
                headless = true
#endif
            :: else
            fi;

            take(i);

#ifndef FAULT_PREV
            if
            :: (log_kind[i] == BEGIN && log_prev[i] > before) ->
                torn = true;
                headless = true
            :: else
            fi;
#endif
            before = 0;
            i = 0;
#ifdef PIECES
            break
#endif
        :: else -> break
        od
       }

    :: (link == engine_is && (end == 0 || cur >= log_id[end])) -> break
    od;

    /* follows */

    do
    :: link != engine_is -> goto connect

    :: atomic { (link == engine_is && end != 0 && cur < log_id[end]) ->
        find_next();

        if
        :: FOLLOWS -> take(i)
        :: else -> goto connect
        fi;

        i = 0
       }

    :: atomic { (link == engine_is && cur != 0
                 && (end == 0 || log_id[end] < cur)) ->
        noticed = true;
        goto connect
       }

    :: atomic { (link == engine_is && begins < BEGINS && published < PUBLISHES
#ifndef FAULT_NO_WAIT
#ifdef RACE
                 && (!LACKS || noticed || cur < zone_id)
#else
                 && !LACKS
#endif
#endif
                 ) ->

        begins++;
        floor = number;

        if
        :: (cur == 0 || headless || torn || noticed || former != engine_is
#ifndef FAULT_LACKS
            || cur < zone_id
#endif
            ) ->
            jumps++;
            floor = jumps * JUMP;
            seed = true
        :: else -> seed = false
        fi;

        noticed = false;
        begin = (zone_id > cur -> zone_id : cur);
        begin = ID(TERM(begin) + 1, 0)
       };

        /* XADD, which may be late */

        if
        :: link != engine_is -> goto connect

        :: atomic { (link == engine_is
                     && ((end != 0 && log_id[end] < begin)
                         || (end == 0 && cur == 0))) ->
            j = cur;
            cur = begin;
            append(BEGIN, floor);
            cur = j;
            j = 0;
            log_what[end] = announced;
            log_prev[end] = cur;
            log_from[end] = me + 1;
            floor = 0
           }

        :: atomic { (link == engine_is && end != 0 && log_id[end] >= begin) ->
            begin = 0;
            floor = 0;
            goto again
           }

        :: atomic { (link == engine_is && end == 0 && cur != 0) ->
            noticed = true;
            goto connect
           }
        fi;

        /* reads up to it */

        do
        :: link != engine_is -> goto connect

        :: atomic { (link == engine_is && end != 0 && cur < log_id[end]) ->
            find_next();

            if
            :: FOLLOWS -> take(i)
            :: else -> goto connect
            fi;

            if
            :: (cur == begin && log_from[i] == me + 1) -> i = 0; break
            :: (cur >= begin && !(cur == begin && log_from[i] == me + 1)) ->
                i = 0;
                begin = 0;
                goto again
            :: else -> i = 0
            fi
           }

        :: (link == engine_is && (end == 0 || log_id[end] <= cur)) ->
            goto connect
        od;

        /* leads */

        do
        :: (link != engine_is) -> goto connect

        :: goto connect

        KILL

#if TEARS
        :: atomic { (link == engine_is && (end == 0 || log_id[end] != cur)) ->
            noticed = true;
            goto connect
           }
#endif

        :: atomic { (link == engine_is && images < IMAGES && end != 0
                     && log_id[end] <= cur) ->
            images++;
            seed = false;
            cur++;
            append(IMAGE, announced);
            log_what[end] = have[me];

#ifndef FAULT_IMAGE_JUMP
            if
            :: (jump_to != 0 && jump_to == number) ->
                log_from[end] = jump_from;
                log_prev[end] = jump_to
            :: else
            fi
#endif
           };

            if
            :: atomic { zone_id = (cur > zone_id -> cur : zone_id) };

                if
                :: atomic { (link == engine_is && end != 0
                             && log_id[end] == cur && end > 1) ->

                    /* XTRIM */
                    remove(1, (end - 1))
                   }
                :: skip
                fi

            :: goto connect
            fi

        :: atomic { (link == engine_is && published < PUBLISHES && end != 0
                     && log_id[end] <= cur
#ifndef FAULT_IMAGE_LATE
                     && !seed
#endif
                     && (have[me] & ((1 << (NODE + 1)) - 2))
                        != (1 << (NODE + 1)) - 2) ->
            published++;
            s = 1;

            do
            :: (have[me] & (1 << s)) != 0 -> s++
            :: else -> break
            od;

            cur++;
            append(RECORD, number + 1);
            log_what[end] = s;
            sent[me] = 1 << s;
            s = 0
           };

            /* the answer */

            if
            :: atomic {
                s = 1;

                do
                :: (have[me] & (1 << s)) != 0 -> s++
                :: else -> break
                od;

                j = s;
                s = 0;
                one(number + 1, j);
                j = 0;
                sent[me] = 0;
                zone_id = (cur > zone_id -> cur : zone_id)
               }
            :: atomic { sent[me] = 0; goto connect }
            KILL
            fi
        od;

again:
        skip

    :: (published >= PUBLISHES || begins >= BEGINS) -> break

    KILL
    od;

gone:
    skip
}


active proctype engine()
{
    byte  j, n, m;

    do
    :: atomic { (losses < LOSSES && end > 1) ->
        losses++;
        select(n : 2 .. end);
        LOST(n, end);
        remove(n, end);
        engine_is++;
        n = 0
       }

    :: atomic { (tears < TEARS && end > 1) ->
        tears++;
        select(n : 1 .. end);

        m = end;

        if
        :: skip
        :: m = n
        fi;

        /* of the rest nobody can tell what is behind which hole */

        lost = 255;
        remove(n, m);
        m = 0;

        n = 0
       }

    :: break
    od
}


/* gateway 0 has led, and has entry 2, too */

init {
    byte  k;

    atomic {
        append_first(1, BEGIN, 0, 0);
        append_first(2, RECORD, 1, 1);
        what[1] = 1;
        what[2] = 2;
        have[0] = 6;
        have[1] = 2;

#if TEARS
        append_first(3, RECORD, 2, 2);
#else
        /* the engine has lost it */

        engine_is = 1;
#ifdef RACE
        append_first(2, 0, 0, 0);
        log_id[2] = 0;
        end = 1;
        lost = 6;
#endif
#endif

        for (k : 0 .. GATEWAYS - 1) {
            run gateway(k, 2 - k)
        }
    }
}
