"""How an instance's bytes are made smaller and given back exactly.

A codec has a name, which the envelope carries for every instance, and two halves: a `Coder` that
is fed the original bytes and writes coded bytes to a sink, and a `Decoder` that does the reverse,
bounded by the length the envelope declares. Both are fed piece by piece, so that an instance of
any size passes through a fixed amount of memory.

`plan` finds the pixels of an instance for the image codecs; `chooser` picks the way that ends soonest.
"""

from gateway.codec.plan import Plan, plan
from gateway.codec.stream import NAMES, Coder, Decoder, Sink, coder, decoder
from gateway.codec.way import WAYS, Way

__all__ = ["NAMES", "WAYS", "Coder", "Decoder", "Plan", "Sink", "Way", "coder", "decoder", "plan"]
