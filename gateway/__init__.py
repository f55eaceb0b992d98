"""What both ends must agree on byte for byte, and the few tools both stand on.

Nothing here knows an edge, a hub or an authority. Formats and protocols are specified beside their
one implementation: `envelope/FORMAT.md`, `wire/PROTOCOL.md`, `report/CANONICAL.md`.
"""
