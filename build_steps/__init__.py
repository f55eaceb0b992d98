"""What the package build makes besides Python: the portal, the viewer, the report fonts, their notices.

`hatch_build.py` runs these steps for a wheel and for an editable install alike. The way of a build:
`node` runs npm by the Node.js that came as a wheel, so the machine needs none; `registry` fetches a pinned
npm package and checks its digest; `portal`, `viewer` and `fonts` each fill one folder; `notices` gathers the
licences of all that was taken from others; `stamp` skips a step whose inputs have not changed.
"""
