/*
 * The cluster: gateways with one log, an engine that may lose its newest
 * entries or all of them.  If this model fails, two gateways give one number to
 * two contents, or a number goes back.
 *
 * It stands for
 *     ngx_http_blockcast_cluster_entry()       what a gateway takes of the log
 *     ngx_http_blockcast_cluster_begin()       the floors of a begin, and who
 *                                              must not lead
 *     ngx_http_blockcast_cluster_propose()     a number, then an XADD
 *     ngx_http_blockcast_cluster_taken()       shown when the log has it
 *     ngx_http_blockcast_cluster_drop()        a lost connection ends the lead,
 *                                              and the log is read again
 *     XADD                                     refuses an id that is not greater
 *
 * A gateway that is not scheduled is one that is stopped, and goes on at any
 * step: time is not there, and neither is the silence that is waited for, so
 * anybody may want to lead at any moment.  The answer to an XADD may be lost,
 * which is a lost connection.  The engine loses a tail, which breaks all
 * connections and gives it another identity.
 *
 * Each gateway has a clock of its own, which may be behind the others, ahead of
 * them, and set forward or back between any two looks at it.  Only that two
 * looks never show the same microsecond is taken for granted: it would take
 * two losses of the engine with a clock put back by just the time between.  Who
 * has numbers at or beyond its clock when they have to jump must not lead.
 *
 * Faults, each of which must be found:
 *     FAULT_NO_TERM     a leader appends whatever the newest entry is: a lease
 *                       alone
 *     FAULT_NO_JUMP     the floors are what the new leader knows
 *     FAULT_FIXED_JUMP  ... and a fixed distance more (two losses meet)
 *     FAULT_CLOCK       who has numbers beyond its clock leads all the same, and
 *                       goes on from them (two losses)
 *     FAULT_CLOCK_BEGIN ... when the numbers are those of records, and no begin
 *                       has been read that has them: a log may be trimmed
 *     FAULT_SHOW_FIRST  a leader shows what it publishes before the log has it
 *     FAULT_SKIP        a leader that has lost the lease of its machine takes the
 *                       log's answer, does not write what it is of, and goes on
 *                       when it has the lease again
 *     FAULT_BLANK       who has no data begins an empty log with 1, although its
 *                       epoch is that of a log that was read
 */

#ifndef GATEWAYS
#define GATEWAYS   2
#endif

#ifndef PUBLISHES
#define PUBLISHES  2        /* in all */
#endif

#ifndef LOSSES
#define LOSSES     1
#endif

#ifndef BEGINS
#define BEGINS     3        /* in all */
#endif

#ifndef CLOCKS
#define CLOCKS     2        /* that there may be, of all gateways */
#endif

#define ENTRIES    (BEGINS + PUBLISHES)
#define JUMP       (PUBLISHES + 1)      /* between two of them, at least */
#define SEQS       (CLOCKS * JUMP + PUBLISHES + 1)


/* the log: of each entry its term, and for a record its number and content */
byte  log_term[ENTRIES + 1];
byte  log_seq[ENTRIES + 1];         /* 0: a begin */
byte  log_content[ENTRIES + 1];     /* of a begin: its floor */
byte  end;
byte  trimmed;              /* entries before the first one, which is an image
                               then: numbers, but no begin */

/* of the engine: how often it lost entries, and whether before all of this */
#ifdef ANOTHER
byte  identity = 1;
#else
byte  identity;
#endif

byte  shown;                /* the clocks that were looked at */

/* what clients have seen: the content of each number */
byte  seen[SEQS + 1];

byte  contents;             /* published: each is another one */
byte  begins;


/* a gateway shows a number: to all it is the same, whoever shows it */

inline tell(seq, content)
{
    assert(seen[seq] == 0 || seen[seq] == (content));
    seen[seq] = content
}


/* takes the entries behind cur: reads the log */

inline read_log()
{
    d_step {
        do
        :: cur < end ->
            cur++;
            known = (log_term[cur] > known -> log_term[cur] : known);

            if
            :: log_seq[cur] == 0 ->
                former = (log_content[cur] >> 6);
                floor = ((log_content[cur] & 63) > floor
                         -> (log_content[cur] & 63) : floor)
            :: else ->
                former = (cur == trimmed + 1 -> log_content[cur] >> 6
                                             : former);

                if
                :: log_seq[cur] > own ->
                    own = log_seq[cur];
                    tell(own, (log_content[cur] & 63))
                :: else
                fi
            fi
        :: else -> break
        od
    }
}


proctype gateway(byte me)
{
    byte  own;              /* the newest number it shows */
    byte  floor;            /* no number up to it is given */
    byte  cur;              /* entries read */
    byte  known;            /* the greatest term it knows */
    byte  term;
    byte  link;             /* the engine's identity when it connected */
    byte  former;           /* ... in the newest begin */
    byte  seq, content, least, now, given;

connect:
    atomic {
        link = identity;
        cur = trimmed;
        former = 0;
        read_log()
    }

    do
    :: atomic { link == identity -> read_log() }

    :: link != identity -> goto connect

    :: (begins < BEGINS && contents < PUBLISHES) ->

        /* wants to lead: the floors, then a begin with a greater term */

        atomic {
            begins++;
            term = known + 1;
            least = (own > floor -> own : floor);
#if defined(FAULT_NO_JUMP)
            skip
#elif defined(FAULT_FIXED_JUMP)
            if
            :: former != identity -> least = least + 1
            :: else
            fi
#else
            if
#ifdef FAULT_BLANK
            :: (former != identity && !(end == 0 && own == 0 && floor == 0)) ->
#else
            :: former != identity ->
#endif

                /* whatever this gateway's clock shows */

                select(now : 1 .. CLOCKS);
                given = least;

#if defined(FAULT_CLOCK)
                given = 0;
#elif defined(FAULT_CLOCK_BEGIN)
                given = floor;
#endif

                if
                :: ((shown & (1 << now)) || given >= now * JUMP) ->
                    begins--;
                    goto again
                :: else
                fi;

                shown = shown | (1 << now);
                now = now * JUMP;
                least = (now > least -> now : least);
                now = 0;
                given = 0
            :: else
            fi
#endif
        }

        if
        :: atomic { (link == identity
                     && (end == 0 || log_term[end] < term)) ->
            end++;
            log_term[end] = term;
            log_seq[end] = 0;
            log_content[end] = (identity << 6) + least;
            read_log()
           }

            if
            :: skip                     /* the answer comes */
            :: goto connect             /* ... or does not */
            fi
        :: atomic { (link == identity && end != 0
                     && log_term[end] >= term) -> read_log() };
            goto again
        :: link != identity -> goto connect
        fi;

        /* leads: one number after the other */

        do
        :: contents < PUBLISHES ->
            atomic {
                contents++;
                content = contents;
                seq = (own > floor -> own : floor) + 1
            }

#ifdef FAULT_SHOW_FIRST
            atomic {
                own = seq;
                tell(seq, content)
            }
#endif

            if
#ifdef FAULT_NO_TERM
            :: atomic { (link == identity && end < ENTRIES) ->
#else
            :: atomic { (link == identity && log_term[end] == term
                         && end < ENTRIES) ->
#endif
                end++;
                log_term[end] = term;
                log_seq[end] = seq;
                log_content[end] = (identity << 6) + content;
               }

                if
                :: atomic {
                    cur = end;
                    if
                    :: seq > own -> own = seq; tell(seq, content)
                    :: else
                    fi
                   }
#ifdef FAULT_SKIP
                :: cur = end
#endif
                :: goto connect
                fi
#ifndef FAULT_NO_TERM
            :: (link == identity && log_term[end] != term) -> goto connect
#endif
            :: link != identity -> goto connect
            fi

#ifdef TRIM
        :: atomic { (link == identity && end != 0 && log_term[end] == term
                     && log_seq[end] != 0 && trimmed != end - 1) ->
            trimmed = end - 1
           }
#endif

        :: goto connect
        od;

again:
        skip

    :: (contents >= PUBLISHES && link == identity && cur == end) -> break
    od
}


/* the engine: loses some of its newest entries, LOSSES times */

proctype engine()
{
    byte  n, i;

    do
    :: (n < LOSSES && end > 0) ->
        atomic {
            n++;
            do
            :: end > 0 ->
                log_term[end] = 0;
                log_seq[end] = 0;
                log_content[end] = 0;
                end--;
                if
                :: skip
                :: break
                fi
            :: else -> break
            od;
            trimmed = (end <= trimmed -> 0 : trimmed);
            identity++
        }
    :: break
    od
}


init {
    byte  i;

    atomic {
        do
        :: i < GATEWAYS -> run gateway(i); i++
        :: else -> break
        od;
        run engine()
    }
}
