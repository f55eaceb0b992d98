"""DICOMweb (PS3.18): the way images leave the hub, for the viewer and for any other program.

QIDO-RS answers from the index (`query` reads the question, `datajson` writes the answer). WADO-RS
serves the bytes as the modality sent them: a Part 10 header is put before the dataset, a frame is a
slice of it (`frames`), metadata was made when the instance was indexed. `accept` decides the
form that a client gets, `recode` changes it where that is asked for and exact. Every request
goes through a `hub.archive.scope.Scope`.
"""
