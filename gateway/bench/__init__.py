"""Measurements a user can repeat, each beside its goal and beside the programs people use today.

`line` sends studies over a simulated wide-area link, `ingest` sends them to receivers on this machine;
`command` is ``telerad bench``. Hub and edge run as real processes (`bed`), on both ends of a `link`;
`studies` makes what is sent, `senders` sends it, `peers` are Orthanc and dcmtk. The figures are taken
by `sampling`, worked out by `figures`, judged by `scenarios`, and drawn by `plot`.
"""
