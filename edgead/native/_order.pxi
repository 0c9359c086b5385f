# Order statistics of the last values: the binding of ead_order.  Included by _kernel.pyx.

cdef class Order:
    """The last values, kept sorted: median, any quantile and the exact median absolute deviation at any time.

    Parameters
    ----------
    window : int, 1..65536
        Values kept.
    single : bool
        Keep them in single precision, 8 bytes a value instead of 16.

    Raises
    ------
    InvalidInput
        If `window` is out of range.
    """

    cdef object memory
    cdef unsigned char[::1] block
    cdef readonly size_t n
    cdef readonly bint single

    def __cinit__(self, size_t window, *, bint single=False):
        size = csrc.ead32_order_size(window) if single else csrc.ead_order_size(window)
        if size == 0:
            raise InvalidInput(f"window {window}: expected 1..{csrc.EAD_ORDER_MAX_LEN} values")
        self.n = window
        self.single = single
        self.memory = np.empty(size // 8, np.uint64)
        self.block = self.memory.view(np.uint8)
        if single:
            check_status(csrc.ead32_order_init(self.pointer32(), size, window))
        else:
            check_status(csrc.ead_order_init(self.pointer(), size, window))

    cdef csrc.ead_order *pointer(self) noexcept nogil:
        return <csrc.ead_order *> &self.block[0]

    cdef csrc.ead32_order *pointer32(self) noexcept nogil:
        return <csrc.ead32_order *> &self.block[0]

    def push(self, double x):
        """Take the next value, dropping the oldest of a full window.  InvalidInput if x is not finite."""
        if self.single:
            check_status(csrc.ead32_order_push(self.pointer32(), <float> x))
        else:
            check_status(csrc.ead_order_push(self.pointer(), x))

    def replace(self, size_t age, double x):
        """Correct a value already taken, `age` 0 = the newest.  InvalidInput if there is none or x is not finite."""
        if self.single:
            check_status(csrc.ead32_order_replace(self.pointer32(), age, <float> x))
        else:
            check_status(csrc.ead_order_replace(self.pointer(), age, x))

    def quantile(self, double share):
        """The value below which a share (0..1) of the values lies, linear between neighbours.

        InvalidInput if no value is held or `share` is out of range.
        """
        cdef double wide = 0
        cdef float narrow = 0
        if self.single:
            check_status(csrc.ead32_order_quantile(self.pointer32(), share, &narrow))
            return narrow
        check_status(csrc.ead_order_quantile(self.pointer(), share, &wide))
        return wide

    @property
    def median(self):
        """The middle value, or the mean of the two; InvalidInput if no value is held."""
        cdef double wide = 0
        cdef float narrow = 0
        if self.single:
            check_status(csrc.ead32_order_median(self.pointer32(), &narrow))
            return narrow
        check_status(csrc.ead_order_median(self.pointer(), &wide))
        return wide

    @property
    def mad(self):
        """The exact median of the absolute deviations from the median, not scaled; InvalidInput if no value is held."""
        cdef double wide = 0
        cdef float narrow = 0
        if self.single:
            check_status(csrc.ead32_order_mad(self.pointer32(), &narrow))
            return narrow
        check_status(csrc.ead_order_mad(self.pointer(), &wide))
        return wide

    @property
    def count(self):
        """Values held: the window once it is full."""
        return csrc.ead32_order_count(self.pointer32()) if self.single else csrc.ead_order_count(self.pointer())

    def dump(self):
        """The whole state as bytes, for `load`."""
        return self.memory.tobytes()

    def load(self, bytes state):
        """Replace the state by one that `dump` gave, of the same window and precision.

        Raises
        ------
        NativeError
            If the bytes are not a whole and sound state of these; then nothing changes.
        """
        cdef int status
        cdef Py_ssize_t size = self.block.shape[0]
        if len(state) != size:
            raise NativeError(f"a state of {len(state)} bytes: expected {size} for this window and precision")
        cdef unsigned char[::1] block = np.frombuffer(state, np.uint64).copy().view(np.uint8)
        if self.single:
            status = csrc.ead32_order_check(<csrc.ead32_order *> &block[0], size, self.n)
        else:
            status = csrc.ead_order_check(<csrc.ead_order *> &block[0], size, self.n)
        check_status(status)
        self.block[:] = block
