"""TGE1, the sealed parcel: from instances at the edge to verified instances at the hub.

The way in: `seal.BodySealer` codes, encrypts and hashes instances piece by piece into sealed chunks and
ends with a `layout.Draft`; `seal.complete` adds what is known later and `signature.sign` makes it
a signed header. The way out: `unseal.open_header` judges the signature, `unseal.BodyOpener` the
content; `receipt` is the hub's answer. ``FORMAT.md`` says every byte; `cipher` and `kem` are the only
files that encrypt. Test vectors: ``tests/vectors/tge1``.
"""
