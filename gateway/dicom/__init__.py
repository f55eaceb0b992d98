"""DICOM as both ends must read it: tags, transfer syntaxes, headers, text, Part 10 files.

`walk` finds the elements (bounded, iterative, never fooled by a length), `header` turns them into a
pydicom `Dataset` without pixels, `text` decodes names by their character set, `part10` puts a file
header before dataset bytes and takes it off again. Nothing here changes a stored byte.
"""
