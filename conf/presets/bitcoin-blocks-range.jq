# Params of getblockhash: the blocks between the newest one delivered and the newest one of the node.

include "presets/bitcoin-lib";
include "presets/chain-lib";

as_chain | range_from(known_block; 25) | [.]
