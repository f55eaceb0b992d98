"""Of all tests: what hypothesis is told."""

from hypothesis import settings

# A test asserts facts and no milliseconds: on a busy machine an example takes longer than hypothesis allows.
settings.register_profile("telerad", deadline=None)
settings.load_profile("telerad")
