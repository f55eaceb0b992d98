"""The whole loop on one machine, for newcomers and for proof.

`phantom` makes a study nobody's head was scanned for; `layout` writes the folders, certificates
and configuration of one hub and its edges; `processes` starts and stops them as real processes;
`modality` sends studies by C-STORE; `loop` drives reading, signing and delivery through the same
HTTP API the portal uses; `proof` checks at the end what is claimed; `command` is ``telerad demo``.
"""
