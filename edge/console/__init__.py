"""The edge's own web page: what waits and why, what was sent, how long the disk will do.

For the technician in the hospital: English and Chinese, small screens, no script. Patient names
shown here come from memory and are lost on a restart, as they must be (`edge/spool/view`).
"""
