"""Technician and reader talk about a study: `desk` for the portal, `line` for the hospital's edge.

How messages are kept is told by `hub/conversation.py`, for stations that bring some along themselves.
"""
