"""The appliance at the hospital: whatever needs a modality, a PACS, a RIS or the spool.

The way of one image: `ingest` takes it from the modality and answers only when `spool` holds it
durably, sealed to the hub (`acquire` does so for the web, folders, discs and pictures); `pack`
gives it its place in this edge's chain and signs it; `uplink` carries it until the hub's signed
receipt is verified; then the spool may let it go. Reports come back by `downlink`, which verifies
them and hands them to the hospital's folder, PACS and RIS. `console` shows the technician what
waits and why; `dialogue` carries what technician and reader write to each other. Only `app` builds;
stations never import one another.
"""
