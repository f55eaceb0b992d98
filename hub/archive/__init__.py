"""The archive: every instance kept byte for byte under its SHA-256, and an index to find it by.

The way in: intake opens a parcel into `BlobStore.incoming_path` files and hands a batch to
`Archive.ingest`. Headers are read (`facts`, `model`), the files get their final names (`store`),
then one transaction writes every row (`index`). Nothing is overwritten: other bytes under a known
SOP Instance UID are kept beside the first and counted as a conflict. `settle` says when a study
is complete and by which evidence; `search` answers DICOMweb and the portal, within a `scope`.
"""
