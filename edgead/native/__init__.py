"""The one door to the C core.  Everything above imports from here, never the compiled file."""

from edgead.native._kernel import (
    DIRECTIONS,
    ISA_NAMES,
    SPECTRAL_VIEWS,
    STATUS_ERRORS,
    Order,
    Slide,
    SlideTable,
    SpectralResidual,
    check_status,
    fft,
    ifft,
    irfft,
    rfft,
    saliency,
    slide_table,
)

__all__ = [
    "DIRECTIONS",
    "ISA_NAMES",
    "SPECTRAL_VIEWS",
    "STATUS_ERRORS",
    "Order",
    "Slide",
    "SlideTable",
    "SpectralResidual",
    "check_status",
    "fft",
    "ifft",
    "irfft",
    "rfft",
    "saliency",
    "slide_table",
]
