"""From the spool to the hub, for as long as it takes.

The way of an item: `worker` finds it signed in the spool and puts it on the `board`; a free stream
takes the most urgent chunk there is, reads it, compares it with the signed header and sends it,
while the hub's answers come back on the same exchange. What an exchange left in doubt is asked for
before anything is sent again. A receipt is verified (`receipts`) and kept durably before the body
may go. `pacing` says how much goes into one exchange and when to try again; it never says "stop".

The protocol is ``gateway/wire/PROTOCOL.md``; its decisions are made in `gateway.wire.sender`, not here.
"""
