"""From the line into the archive: what the hub does with a parcel, and in which order.

The way of a parcel: `routes` opens an exchange, `exchange` reads its frames in batches, `desk` judges
headers and digests and makes each batch durable (chunks to `partials`, rows to `journal`) before a
word is answered; a whole parcel goes to `conveyor`, which opens it, compares every instance with its
signed SHA-256, hands it to the archive and signs the receipt in the same transaction. What does not
hold goes to `quarantine`, with its reason. `intake` puts these together and goes on after a restart.

Nothing is acknowledged that is not durable; every step may be repeated. The protocol is
``gateway/wire/PROTOCOL.md``; its decisions are made in `gateway.wire.receiver`, not here.
"""
