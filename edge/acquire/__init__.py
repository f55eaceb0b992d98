"""Other ways in: STOW-RS, watched folders, a CD or stick with a DICOMDIR, pictures that are no DICOM.

A `visit` is what an association is for the listener: one sender, some instances, each judged and made
durable in the spool before it is answered for, and a notice at the end. `stow` answers web clients,
`watch` looks into folders, `medium` reads a disc without trusting or changing it, and `convert` makes
proper DICOM of JPEG, PNG, TIFF and PDF. `desk` runs imports for the page and for the command line.
"""
