# Mirror of csrc/include/edgead.h, in its order, with units.

cdef extern from "edgead.h" nogil:
    enum:
        EAD_OK
        EAD_E_LENGTH
        EAD_E_NOT_FINITE
        EAD_E_WORK
        EAD_E_RANGE
        EAD_E_STATE
    const char *ead_status_text(int status)
