"""How an instance's bytes are made smaller and given back exactly.

A codec has a name, which the envelope carries for every instance, and two halves: a `Coder` that
is fed the original bytes and writes coded bytes to a sink, and a `Decoder` that does the reverse,
bounded by the length the envelope declares. Both are fed piece by piece, so that an instance of
any size passes through a fixed amount of memory.
"""

from gateway.codec.stream import NAMES, Coder, Decoder, Sink, coder, decoder

__all__ = ["NAMES", "Coder", "Decoder", "Sink", "coder", "decoder"]
