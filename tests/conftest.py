"""Hypothesis profiles; CI draws the same examples every time."""

import os
import signal

from hypothesis import HealthCheck, settings

# A shell that starts the tests in the background has Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests start processes from folders of their own: a path that is named from here must hold there.
if "PYTHONPATH" in os.environ:
    os.environ["PYTHONPATH"] = os.pathsep.join(
        map(os.path.abspath, os.environ["PYTHONPATH"].split(os.pathsep))
    )

_SLOW = [HealthCheck.too_slow]
settings.register_profile(
    "dev", max_examples=25, deadline=None, database=None, suppress_health_check=_SLOW
)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.register_profile("thorough", settings.get_profile("dev"), max_examples=1500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))
