"""Takes images from modalities: C-ECHO and C-STORE, every storage class, every transfer syntax as sent.

A C-STORE is answered 0x0000 only after `edge/spool` has made the exact dataset bytes durable. `admission`
says who may send and how each outcome is answered; `guard` is pynetdicom hardened and without its
sleeps; `store` handles one instance; `listener` puts them together.
"""
