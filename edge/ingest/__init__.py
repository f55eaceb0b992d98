"""Takes images from modalities: C-ECHO and C-STORE, every storage class, every transfer syntax as sent.

A C-STORE is answered 0x0000 only after `edge/spool` has made the exact dataset bytes durable. `admission`
says who may send and how each outcome is answered; `server` accepts connections, `association` serves one
in a thread of its own (`threads`), here or in a process for each core (`acceptor`), with `wire`, `pdu` and
`dimse` as its parts; `store` handles one instance; `desk` decides for all of them, whatever process they are
in, with `associate` and `acse` for what is asked and agreed, and `services` for the DIMSE-N requests of
whoever registers for them; `listener` puts them together.

Beside storage (`offered`): storage commitment (`commitment` the rules, `commitments` the service, `ledger`
what came and what the hub has signed for, `reporting` the way to the sender) and performed procedure steps
(`mpps` the rules, `procedures` the service); `vault` keeps what they must remember from a thief's eyes.

pynetdicom codes DIMSE-N. Its A-ASSOCIATE is not used, as it takes ten times as long (`associate`); nor its
server: it sleeps between polls for more than half of its time, copies each dataset several times, and a few
hostile connections take it down (tests/unit/edge/ingest/test_attacks*.py show each).
"""
