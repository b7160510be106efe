# Params of eth_getBlockByNumber after a reorganisation, to find where the chain is still the same.

include "presets/chain-lib";

known(.last.number? | hex; .last.hash?) as $known
| (if $known != null and head != null and (head.number | hex) - $known.number > 64 then null else $known end) as $known
| range_back($known)
| [tag, false]
