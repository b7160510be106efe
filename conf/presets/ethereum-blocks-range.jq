# Params of eth_getBlockByNumber: the blocks between the newest one delivered and the newest one of the
# node, which "head" has; the oldest first. When nothing was delivered yet, the stream begins with the
# newest one.

include "presets/chain-lib";

known(.last.number?; .last.hash?) as $known
| range_from($known; if (head | .number? | hex // 0) - ($known.number? // 0) > 100 then 50 else 25 end)
| [tag, false]
