"""Acceptor processes: they speak DIMSE, hash, seal and write; the edge's process decides and remembers.

Why: an image costs about half a millisecond of hashing, sealing and writing, and as much of Python. In one
process the threads of all associations, the packer and the page hand one interpreter to each other; each of
these processes has its own.

The edge's process accepts connections, so limits are exact over all processes, and hands each (as a file
descriptor, SCM_RIGHTS) to the process with the fewest. What passes between them goes over one socket pair a
process (`line`), in the order in which it was said. The edge's process reads together what it is told within
a twentieth of a second; when somebody waits for an answer, a ring at its door (the other socket) ends that
rest. What it is told of a burst of images it takes in when the burst is over, or twice a second (`house`):

=============  =====================================================================================
from a process
``associate``  an A-ASSOCIATE-RQ: who may come in, and what is agreed (`desk`). Waits
``room``       may so much be taken? Waits; asked ten times a second at most. The answer brings the hub's keys
``lease``      a segment of the spool to write records to, alone. Waits, mostly before it is needed
``arrived``    an item is durable: what the index, the packer, the page and storage commitment must know
``request``    a DIMSE-N request. Waits
``replied``    the sender's answer to an N-EVENT-REPORT
``left``       an association is over: its place is free
``ended``      the notice to the hub of one that carried instances
``gone``       a connection is closed
``done``       a leased segment is not written to any more
``alive``      it runs; every second (`watchdog`)
to a process
``answer``     to what waits
``say``        PDUs for a sender (N-EVENT-REPORT)
``stop``       abort what runs, and end
=============  =====================================================================================

An instance is answered when its record is on the disk and ``arrived`` is written into the socket, which
outlives the process that wrote it. So whatever dies, and when:

==============================  =====================================================================
dies                            then
==============================  =====================================================================
a process, in an instance       its sender hears nothing and has it still. A large file begun is swept later
... record written, not told    not answered either, so its sender sends it again. It is found by reading the
                                leased segments, and kept, as after a crash of the edge
... told                        ``arrived`` is read from the socket first, answered or not
... holding places              its connections and associations end; another takes its place
a process that stands still     put out after fifteen seconds, and then as any that dies; left alone while it
                                waits for the disk
the edge's process              every process reads the end of its socket and ends. What was answered is in
                                segments; the next start waits until nobody writes to them (a lock of the
                                kernel), then recovers them as ever
==============================  =====================================================================

A process that cannot be started, or dies again and again, is replaced by threads of the edge's own process
meanwhile. Certificates are read when a process starts; senders and limits are the edge's own at all times.
"""
