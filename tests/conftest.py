"""Here so that tests find the modules beside this file; and no test is timed by a busy machine's clock."""

from hypothesis import settings

settings.register_profile("mtmed", deadline=None)
settings.load_profile("mtmed")
