"""How an instance's bytes are made smaller and given back exactly.

A codec has a name, which the envelope carries for every instance, and two halves: a `Coder` that
is fed the original bytes and writes coded bytes to a sink, and a `Decoder` that does the reverse,
bounded by the length the envelope declares. Both are fed piece by piece, so that an instance of
any size passes through a fixed amount of memory.

`plan` finds the pixels of an instance for the image codecs; `chooser` picks the way that ends soonest.
"""

from gateway.codec.plan import Plan, plan
from gateway.codec.segmented import Means
from gateway.codec.shared import SharedStream
from gateway.codec.stream import NAMES, SEGMENTED, Coder, Decoder, Sink, coder, decoder
from gateway.codec.way import WAYS, Way

__all__ = [
    "NAMES",
    "SEGMENTED",
    "WAYS",
    "Coder",
    "Decoder",
    "Means",
    "Plan",
    "SharedStream",
    "Sink",
    "Way",
    "coder",
    "decoder",
    "plan",
]
