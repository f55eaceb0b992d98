"""The audit trail: every deed kept, searched by the auditor, and told to a hospital's audit repository.

`events` names what is kept and which DICOM event each is; `hub/trail.py` keeps it; `follower` adds what the
custody log knows and no request told; `search` and `sheet` answer the auditor; `message` and
`syslog` are the form it leaves in, `exporter` sends it.
"""
