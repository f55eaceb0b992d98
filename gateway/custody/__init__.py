"""The record of who held what when, that nobody can rewrite unseen.

Two chains, checked by different people: every edge chains its signed headers (`chain`), so the hub
sees a parcel left out or replaced; the hub keeps all events in one Merkle tree (`merkle`) whose root
it signs (`checkpoint`), so an edge or an auditor sees a rewritten log. Both are checked offline.
"""
