# new_blocks of a CometBFT node: what subscribers of NewBlock are sent.

if .results.block?.block? == null then error(.errors.block.message? // "no block") else . end
| {
    query: "tm.event='NewBlock'",
    data: { type: "tendermint/event/NewBlock", value: (.results.block | { block, block_id }) },
    events: { "tm.event": ["NewBlock"] }
  }
