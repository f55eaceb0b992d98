"""Signed reports on their way into the hospital.

The way of one report: the hub lists it (`poller`), its package is fetched and judged (`verify`,
before anything else sees it), and each destination takes it on its own (`delivery` runs
`deliver_folder`, `deliver_dicom`, `deliver_hl7` with their own patience). After each change a signed
word goes back (`teller`). `inbox` keeps how far everything is: one small file a delivery, without
patient data. The package itself is kept in memory only and fetched again after a restart, so a
stolen disk shows no report.
"""
