# network_metrics of the real node.
# Calls: peers (net.peer_stats_all), overlay (net.overlay_status), and every 30 seconds first (light.headers)
# and header (light.latest_header), see the-block-header-first.jq.
#
#   block_height        header.height, as it was told last; a note says so while the node does not
#                       tell it; null while the chain is empty
#   finality_time, tps  the node has no such figure: null
#   peer_count          the peers that net.peer_stats_all lists; else overlay.active_peers
#   bandwidth_out       bytes per second: how much bytes_sent grew since the last poll, over the peers
#                       that are in both; null in the first poll
#   bandwidth_in        the node counts no bytes received: null
#   active_connections  overlay.active_peers
#
# What a call did not supply this time is null, but for block_height; it is never replaced by 0.

def object($call): .results[$call]? | if type == "object" then . else {} end;
def number: if type == "number" then . else null end;
def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

# What is known of the header: {height, at, next: when to ask again, wait: how long after a failure}.
def header:
    .time as $time
    | (.state.header? | if type == "object" then . else { height: null, at: null, next: 0, wait: 0 } end) as $was
    | (object("header").height | number) as $height
    | (.errors.first? // .errors.header?) as $error
    | if $height != null then { height: $height, at: $time, next: ($time + 30), wait: 0 }
      elif .results.first? == [] then { height: null, at: $time, next: ($time + 10), wait: 0 }
      elif $error == null and .results.first? == null then $was
      else
        ([[$was.wait * 2, 60] | max, 600] | min) as $wait
        | $was + { next: ($time + $wait), wait: $wait,
                   error: ($error.message? // "a reply of another type" | tostring | .[:80]) }
      end;

def clock: strftime("%H:%M:%S UTC");

def header_note($h):
    (.previous.block_height? | number) as $was
    | if $h.wait > 0 then
        "the node does not tell its header (\($h.error)), as while it mines: block_height is "
        + (if $h.at == null then "not known" else "of \($h.at | floor | clock)" end)
        + ", and asked again at \($h.next | floor | clock)"
      elif $was != null and $h.height == null and $h.at != null
      then "the chain is shorter than before: no block after \($was)"
      elif $was != null and $h.height != null and $h.height < $was
      then "the chain is shorter than before: block \($h.height) after \($was)"
      else empty end;

# floor(min(peers/50*30, 30) + min(tps/1000*40, 40) + max(30 - finality_time/10, 0)).
# The share of an unknown input is left out and the rest scaled to 100.
def strength($peers; $tps; $finality):
    [ (if $peers    == null then empty else [30, ([$peers / 50 * 30, 30] | min)] end),
      (if $tps      == null then empty else [40, ([$tps / 1000 * 40, 40] | min)] end),
      (if $finality == null then empty else [30, ([30 - $finality / 10, 0] | max)] end) ]
    | if length == 0 then null
      else (map(.[0]) | add) as $of | (map(.[1]) | add) as $sum
        | if $of == 100 then $sum else $sum * 100 / $of end
        | [[., 0] | max, 100] | min | floor
      end;

(.results.peers? | if type == "array" then map(select(type == "object")) else null end) as $list
| (object("overlay").active_peers | number) as $active
| (if $list == null then $active else ($list | length) end) as $peers
| (if $list == null then null
   else [ $list[] | select((.peer_id | type) == "string" and (.metrics.bytes_sent? | type) == "number")
          | { key: .peer_id[-10:], value: (.metrics.bytes_sent | tonumber) } ] | from_entries
   end) as $bytes
# the peers answered when the poll began; a header that hangs holds it up for its timeout of 1 s
| (.time - (if any(.errors.first?, .errors.header?; (.message? // "" | tostring | startswith("no reply within")))
            then 1 else 0 end)) as $time
| header as $header
| (.state.bytes? // null) as $before
| ($time - (.state.time? // $time)) as $seconds
| (if $bytes == null or $before == null or $seconds <= 0 or $seconds > 60 then null
   else [ $bytes | to_entries[] | select($before[.key] != null) | .value - $before[.key]
          | select(. > 0) ] | (add // 0) / $seconds | floor
   end) as $out
| {
    block_height: $header.height,
    finality_time: null,
    peer_count: $peers,
    tps: null,
    bandwidth_in: null,
    bandwidth_out: $out,
    active_connections: $active
  } as $data
| if [$peers, $active, .results.first?, .results.header? | select(. != null)] == []
  then error("no network figure: " + why) else . end
| ({ network_strength: strength($peers; null; null) } + $data),
  ((if $bytes == null then .state // {} else { time: $time, bytes: $bytes } end) + { header: $header }),
  header_note($header)
