"""Technician and reader talk about a study.

The reader's messages are asked for at the hub and kept in memory alone; ours go into the spool as
sealed notices and travel as images do. After a restart the open conversations are asked for again.
"""
