"""The line between edge and hub, without the line: what is said, and what each end does about it.

The way of a parcel: `sender` announces it and hands out its chunks, `messages` turns that into
frames, one streaming POST carries frames of many parcels, `receiver` says what to write down and
what to answer, `chunks` remembers which chunks are there. Nothing here does I/O, reads a clock or
draws a random number; PROTOCOL.md beside this file is the specification, ``tests/vectors/wire``
its golden vectors. The two drivers are ``edge/uplink`` and ``hub/intake``.
"""
