"""From a complete study to a reader who has it open, and never a case that belongs to nobody unseen.

`states` is the life of a case; `dispatcher` turns complete studies into cases by the rules, offers
each to a reader whom `policy` chooses, takes it back from readers who went away, and raises what
is late; `worklist` is the readers' side: see, open under a lease, release, return. `journal` writes
what happened beside every change, `shown` makes the portal's JSON.
"""
