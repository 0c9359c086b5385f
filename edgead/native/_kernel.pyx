# The binding: checks shapes, allocates, calls C without the GIL, turns a status into an exception.  No algorithm here.
import functools
import weakref
from array import array

from edgead.errors import InvalidInput, NativeError

from edgead.native cimport csrc


cdef class _LazyNumpy:
    """numpy, imported when an array is first made: an agent that judges readings one by one never needs its 13 MB."""

    def __getattr__(self, name):
        import numpy

        return getattr(numpy, name)


np = _LazyNumpy()


cdef unsigned char[::1] _aligned(size_t size):
    """Zeroed memory aligned as malloc does, for a state block: from the standard library, without numpy."""
    return memoryview(array("Q", bytes((size + 7) // 8 * 8))).cast("B")[:size]


cdef unsigned char[::1] _working_copy(unsigned char[::1] block):
    """A state to work on without the interpreter's lock: a call from another thread meanwhile meets a whole one."""
    cdef unsigned char[::1] copy = _aligned(block.shape[0])
    copy[:] = block
    return copy


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
include "_rows.pxi"
include "_bank.pxi"
include "_fuse.pxi"
include "_service.pxi"
include "_points.pxi"
