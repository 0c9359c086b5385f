"""The one door to the C core.  Everything above imports from here, never the compiled file."""

from edgead.native._kernel import (
    ISA_NAMES,
    STATUS_ERRORS,
    Order,
    Slide,
    SlideTable,
    check_status,
    fft,
    ifft,
    irfft,
    rfft,
    saliency,
    slide_table,
)

__all__ = [
    "ISA_NAMES",
    "STATUS_ERRORS",
    "Order",
    "Slide",
    "SlideTable",
    "check_status",
    "fft",
    "ifft",
    "irfft",
    "rfft",
    "saliency",
    "slide_table",
]
