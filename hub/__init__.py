"""The centre: whatever needs the archive, people or rules.

The way of one study: `intake` receives parcels, verifies every byte and answers with a signed
receipt; `archive` keeps and indexes the instances and settles when a study is complete; `rules` say
who should read it, `assign` gives it to a reader; `portal` and `dicomweb` show it; `reports` keeps
drafts and makes the signed report; `downlink` hands it to the hospital's edge and waits for the
signed acknowledgement. `dialogue` carries words between readers and hospitals. `fleet` knows the
edges, `access` the people. Only `app` builds; stations meet in rows of the database (`tables`), not
by import.
"""
