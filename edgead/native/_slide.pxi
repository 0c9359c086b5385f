# Sliding saliency of the newest point: the binding of ead_slide.  Included by _kernel.pyx.

ISA_NAMES = {
    "best": csrc.EAD_ISA_BEST,
    "portable": csrc.EAD_ISA_PORTABLE,
    "avx2": csrc.EAD_ISA_AVX2,
    "avx512": csrc.EAD_ISA_AVX512,
}


cdef class SlideTable:
    """Twiddles of one window length and precision; read-only, shared by every series that uses them (see `slide_table`)."""

    cdef object __weakref__
    cdef unsigned char[::1] block
    cdef readonly size_t n
    cdef readonly bint single

    def __cinit__(self, size_t n, bint single, int isa):
        cdef int status
        size = csrc.ead32_slide_table_size(n) if single else csrc.ead_slide_table_size(n)
        if size == 0:
            raise InvalidInput(
                f"window {n}: expected {csrc.EAD_SLIDE_MIN_LEN}..{csrc.EAD_SLIDE_MAX_LEN} points")
        self.n = n
        self.single = single
        self.block = _aligned((size + 7) // 8 * 8)
        with nogil:
            if single:
                status = csrc.ead32_slide_table_init(self.pointer32(), self.block.shape[0], n, isa)
            else:
                status = csrc.ead_slide_table_init(self.pointer(), self.block.shape[0], n, isa)
        check_status(status)

    cdef csrc.ead_slide_table *pointer(self) noexcept nogil:
        return <csrc.ead_slide_table *> &self.block[0]

    cdef csrc.ead32_slide_table *pointer32(self) noexcept nogil:
        return <csrc.ead32_slide_table *> &self.block[0]

    @property
    def isa(self):
        """The instruction set in use: portable, avx2 or avx512."""
        number = csrc.ead32_slide_table_isa(self.pointer32()) if self.single else csrc.ead_slide_table_isa(self.pointer())
        return next(name for name, value in ISA_NAMES.items() if value == number)


_slide_tables = weakref.WeakValueDictionary()


def slide_table(size_t n, *, bint single=False, isa="best"):
    """The shared table of a window length and precision.

    Parameters
    ----------
    n : int, 8..65536
        Points of the window.
    single : bool
        Single precision.
    isa : {"best", "portable", "avx2", "avx512"}
        Instruction set; "best" is the best that this processor has.

    Raises
    ------
    InvalidInput
        If `n` is out of range or the processor does not have `isa`.
    """
    if isa not in ISA_NAMES:
        raise InvalidInput(f"isa {isa!r}: expected one of {', '.join(ISA_NAMES)}")
    key = (n, single, isa)
    table = _slide_tables.get(key)
    if table is None:
        table = _slide_tables[key] = SlideTable(n, single, ISA_NAMES[isa])
    return table


cdef class Slide:
    """Saliency of the newest sample of a sliding window, at a cost linear in the window and free of transforms.

    Parameters
    ----------
    window : int, 8..65536
        Points of the window, any number, primes too.  A window that is not yet full counts as filled up, before its first
        sample, with that first sample's value.
    mean_len : int, 0..64
        Saliencies in the streamed mean.
    single : bool
        Keep the state in single precision: about 12 bytes a point instead of 24.
    isa : str
        As in `slide_table`.

    Raises
    ------
    InvalidInput
        If a parameter is out of range.

    Notes
    -----
    The value equals, within rounding, the last one of `saliency` over the window.  Of one thread at a time: of calls that
    overlap, the last to end is what the state knows of.
    """

    cdef unsigned char[::1] block
    cdef readonly SlideTable table
    cdef readonly size_t mean_len

    def __cinit__(self, size_t window, *, size_t mean_len=0, bint single=False, isa="best"):
        cdef int status
        self.table = slide_table(window, single=single, isa=isa)
        self.mean_len = mean_len
        if mean_len > csrc.EAD_SLIDE_MAX_MEAN:
            raise InvalidInput(f"mean_len {mean_len}: expected 0..{csrc.EAD_SLIDE_MAX_MEAN}")
        size = csrc.ead32_slide_size(window, mean_len) if single else csrc.ead_slide_size(window, mean_len)
        self.block = _aligned(size)
        if single:
            status = csrc.ead32_slide_init(self.pointer32(), size, window, mean_len)
        else:
            status = csrc.ead_slide_init(self.pointer(), size, window, mean_len)
        check_status(status)

    cdef csrc.ead_slide *pointer(self) noexcept nogil:
        return <csrc.ead_slide *> &self.block[0]

    cdef csrc.ead32_slide *pointer32(self) noexcept nogil:
        return <csrc.ead32_slide *> &self.block[0]

    cdef int take(self, void *state, double x, double *out) noexcept nogil:
        cdef float single
        cdef int status
        if not self.table.single:
            return csrc.ead_slide_feed(<csrc.ead_slide *> state, self.table.pointer(), x, out)
        status = csrc.ead32_slide_feed(<csrc.ead32_slide *> state, self.table.pointer32(), x, &single)
        out[0] = single
        return status

    def feed(self, double x):
        """Take the next sample; its saliency (>= 0, no unit).  InvalidInput if x is not finite; then nothing changes."""
        cdef double out = 0
        check_status(self.take(&self.block[0], x, &out))
        return out

    def feed_all(self, x):
        """Take samples one after another, as `feed` would.

        Parameters
        ----------
        x : array_like, shape (count,)
            Finite; all are checked before the first is taken.

        Returns
        -------
        ndarray of float64, shape (count,)
            The saliency of each sample when it was the newest.

        Raises
        ------
        InvalidInput
            If `x` is not one-dimensional or a value is not finite (nothing is taken then), or lies out of range of the
            precision (the samples before it are taken).
        """
        x = np.ascontiguousarray(x, np.float64)
        if x.ndim != 1:
            raise InvalidInput(f"shape {x.shape} of the samples: expected one dimension")
        if not np.isfinite(x).all():
            raise InvalidInput("samples: expected finite values, found NaN or infinity")
        out = np.empty(len(x))
        cdef const double[::1] source = x
        cdef double[::1] target = out
        cdef Py_ssize_t i, count = len(x)
        cdef int status = csrc.EAD_OK
        cdef unsigned char[::1] state = _working_copy(self.block)
        with nogil:
            for i in range(count):
                status = self.take(&state[0], source[i], &target[i])
                if status != csrc.EAD_OK:
                    break
        self.block[:] = state
        check_status(status)
        return out

    def replace(self, size_t age, double x):
        """Correct a sample already taken, `age` 0 = the newest; saliencies still to come are those of the corrected window.

        InvalidInput if there is no sample of that age or x is not finite; then nothing changes.
        """
        if self.table.single:
            check_status(csrc.ead32_slide_replace(self.pointer32(), self.table.pointer32(), age, x))
        else:
            check_status(csrc.ead_slide_replace(self.pointer(), self.table.pointer(), age, x))

    @property
    def mean(self):
        """Mean of the last `mean_len` saliencies, or of as many as there are; 0 if none."""
        return csrc.ead32_slide_mean(self.pointer32()) if self.table.single else csrc.ead_slide_mean(self.pointer())

    @property
    def count(self):
        """Samples taken so far."""
        return csrc.ead32_slide_count(self.pointer32()) if self.table.single else csrc.ead_slide_count(self.pointer())

    def dump(self):
        """The whole state as bytes, for `load`."""
        return bytes(self.block)

    def load(self, bytes state):
        """Replace the state by one that `dump` gave, of the same window, precision and mean length.

        Raises
        ------
        NativeError
            If the bytes are not a whole and sound state of these; then nothing changes.
        """
        cdef int status
        cdef Py_ssize_t size = self.block.shape[0]
        if len(state) != size:
            raise NativeError(f"a state of {len(state)} bytes: expected {size} for this window and precision")
        cdef unsigned char[::1] block = _aligned(size)
        cdef const unsigned char[::1] given = state
        block[:] = given
        if self.table.single:
            status = csrc.ead32_slide_check(<csrc.ead32_slide *> &block[0], size, self.table.n, self.mean_len)
        else:
            status = csrc.ead_slide_check(<csrc.ead_slide *> &block[0], size, self.table.n, self.mean_len)
        check_status(status)
        self.block[:] = block
