"""What can be seen of a study's quality while its patient is still in the room.

Every instance is looked at once, off the hot path (`glimpse`: its header and one sampled frame). When
an association has closed or a study has been quiet for some seconds, the `checks` look at the whole
study, and what they find goes to the technologist's page and, sealed, to the reader. These are
warnings: nothing is held up, changed or refused for them. Compressed pixels come from strangers and go
through large decoders: of some images of a series one frame, whose own header says what the dataset says, is
decoded in a process of its own (`decoding`), after the image was let go and while nothing else is to do.

`glimpse`, `coded` and `pixels` read; `checks` (one file a check, one table of them) judge; `acquisition`
shows how it was taken; `words` has the sentences; `inspector` keeps what was seen and tells.
"""
