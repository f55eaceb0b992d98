"""The report, from draft to signed document.

The way: `desk` keeps every draft revision; at signing it makes the canonical record
(`gateway.report.model`), draws it (`document`, `fonts`), signs the PDF (`signature`, `timestamp`),
makes the two DICOM objects (`dicom`), checks the result as any hospital would
(`gateway.report.pdf_signature`), and hands all of it to the archive and the delivery queue in one
transaction. `lifecycle` says which state may follow which.
"""
