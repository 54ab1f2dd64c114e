"""Laws are checked without a deadline: the machine may be busy."""

import hypothesis

hypothesis.settings.register_profile("assembly", deadline=None)
hypothesis.settings.load_profile("assembly")
