# The binding: checks shapes, allocates, calls C without the GIL, turns a status into an exception.  No algorithm here.
import functools
import weakref

import numpy as np

from edgead.errors import InvalidInput, NativeError

from edgead.native cimport csrc

# Status -> exception type.  A test walks every status of the header through this table.
STATUS_ERRORS = {
    csrc.EAD_E_LENGTH: InvalidInput,
    csrc.EAD_E_NOT_FINITE: InvalidInput,
    csrc.EAD_E_WORK: NativeError,
    csrc.EAD_E_RANGE: InvalidInput,
    csrc.EAD_E_STATE: NativeError,
}


cpdef check_status(int status):
    """Raise the exception of a negative status; 0 passes."""
    if status != csrc.EAD_OK:
        text = csrc.ead_status_text(status).decode()
        raise STATUS_ERRORS.get(status, NativeError)(text)


include "_fourier.pxi"
include "_saliency.pxi"
include "_slide.pxi"
include "_order.pxi"
include "_spectral.pxi"
include "_service.pxi"
