# network_metrics of a node with the design document's methods.
# Calls: peers (net.peers), stats (net.stats), header (light.latest_header), and before the first of these
# first (light.headers).
# What a call did not supply this time is null, but for block_height, which stays what it was (finality_time
# is null then); it is never replaced by 0.

def object($call): .results[$call]? | if type == "object" then . else {} end;
def number: if type == "number" then . else null end;
def why: [(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"]
    | if length > 0 then join("; ") else "replies of another type" end;

# A note when the chain has fewer blocks than it had.
def shorter($data):
    (.previous.block_height? | number) as $was
    | if $was != null and $data.block_height != null and $data.block_height < $was
      then "the chain is shorter than before: block \($data.block_height) after \($was)"
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

object("stats") as $stats
| object("header") as $header
| .previous.block_height? as $was
| (object("peers").peers | if type == "array" then length else null end) as $peers
| {
    block_height: ($header.number | number // ($was | number)),
    finality_time: ($header.finality_time | number),
    peer_count: $peers,
    tps: ($stats.tps | number),
    bandwidth_in: ($stats.bandwidth_in | number),
    bandwidth_out: ($stats.bandwidth_out | number),
    active_connections: ($stats.active_connections | number)
  } as $data
| if [$data | del(.block_height) | .[] | select(. != null)] == [] and ($header.number | number) == null
  then error("no network figure: " + why) else . end
| ({ network_strength: strength($peers; $data.tps | if . == null then . else tonumber end;
        $data.finality_time | if . == null then . else tonumber end) }
  + $data),
  { blocks: (.results.header? != null) },
  shorter($data)
