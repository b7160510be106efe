# The blocks of a Bitcoin node in the form that presets/chain-lib.jq reads.

include "presets/chain-lib";

def as_chain:
    def form: if type == "object" and (.height | type) == "number" and (.hash | type) == "string"
              then . + { number: (.height | tag), parentHash: .previousblockhash } else null end;
    .results.head |= form
    | .results.blocks |= if type == "array" then map(form) else null end
    | .results.back |= if type == "array" then map(form) else null end
    # a hash that was not told is a block that was not told
    | .errors.blocks = (.errors.blocks? // .errors.hashes?)
    | .errors.back = (.errors.back? // .errors.back_hashes?);

def known_block: known(.last.number?; .last.hash?);
