"""The one door to the C core.  Everything above imports from here, never the compiled file."""

from edgead.native._kernel import STATUS_ERRORS, check_status, fft, ifft, irfft, rfft, saliency

__all__ = ["STATUS_ERRORS", "check_status", "fft", "ifft", "irfft", "rfft", "saliency"]
