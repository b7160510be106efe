# logs of an Ethereum node, for eth_subscribe logs. An entry is {key, log}: the log is the node's, byte for
# byte. A block that a reorganisation has removed is an entry {key, orphan}, with the end of its hash: its
# subscribers are sent the logs of it once more, with "removed":true. Calls: head, blocks, back, as those of
# heads, and logs, one for each new block.

include "presets/chain-lib";

if head == null then error("no newest block: "
    + ([(.errors // {}) | to_entries[] | "\(.key): \(.value.message)"] | join("; "))) else . end
| if .errors.logs? != null then error("eth_getLogs: \(.errors.logs.message)") else . end
| (.state.turn? // 0) as $turn
| known(.last.block? | hex; .last.hash?) as $known
| (if $known != null and (head.number | hex) - $known.number > 64 then null else $known end) as $known
| chain($known) as $chain
| (if $chain.from.number? != null and $known != null and $chain.from.number < $known.number
   then ($known.hashes | .[(index($chain.from.hash) // (length - 1)) + 1:]) else [] end) as $gone
| (if $gone == [] then $turn else $turn + 1 end) as $now
| {
    logs: (
      ($gone | reverse | map({ key: "\($now)-\(.)", orphan: . }))
      + [ .results.logs? | arrays | .[] | arrays | .[] | objects
          | { key: "\($now)-\(.blockHash)-\(.logIndex)", log: . } ])
  },
  ($chain.known + { turn: $now }),
  ($chain.note // empty)
