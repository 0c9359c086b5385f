"""Settings of all property tests: no deadline (slow twins, busy machines), and a failure prints how to repeat it.

The gate draws the same examples each time, so that it judges the change and not the luck of the draw; the soak draws
new ones.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "edgead",
    deadline=None,
    print_blob=True,
    derandomize=not os.environ.get("EDGEAD_SOAK"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("sanitized", settings.get_profile("edgead"), max_examples=15)
settings.load_profile(os.environ.get("EDGEAD_HYPOTHESIS_PROFILE", "edgead"))
