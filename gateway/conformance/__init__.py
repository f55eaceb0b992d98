"""The DICOM Conformance Statement (PS3.2) of a running configuration: ``telerad conformance``.

Each end tells its part from the very tables it works by (`edge.conformance`, `hub.conformance`), as an entry
point of the group ``telerad.conformance``; `document` holds it, `command` prints it.
"""
