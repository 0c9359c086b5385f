# Fourier transforms of any length: the binding of ead_fft and its float copy.
# Included by _kernel.pyx, which imports np, functools and csrc.

ctypedef fused real:
    double
    float


cdef class _Plan:
    """A prepared length, shared by all calls of that length, kind and precision; read-only once made."""

    cdef object memory
    cdef unsigned char[::1] block
    cdef readonly size_t n
    cdef readonly size_t work_len
    cdef readonly object dtype

    def __cinit__(self, size_t n, int kind, dtype):
        cdef double[::1] work64
        cdef float[::1] work32
        cdef int status
        single = dtype == np.float32
        size = csrc.ead32_fft_plan_size(n, kind) if single else csrc.ead_fft_plan_size(n, kind)
        if size == 0:
            raise InvalidInput(f"length {n} of a transform is outside 1..{csrc.EAD_FFT_MAX_LEN}")
        self.n = n
        self.dtype = dtype
        self.work_len = csrc.ead_fft_work_len(n, kind)
        self.memory = np.empty((size + 7) // 8, np.uint64)
        self.block = self.memory.view(np.uint8)
        work = np.empty(self.work_len, dtype)
        if single:
            work32 = work
            with nogil:
                status = csrc.ead32_fft_plan_init(
                    <csrc.ead32_fft_plan *> &self.block[0], self.block.shape[0], n, kind, &work32[0], work32.shape[0])
        else:
            work64 = work
            with nogil:
                status = csrc.ead_fft_plan_init(
                    <csrc.ead_fft_plan *> &self.block[0], self.block.shape[0], n, kind, &work64[0], work64.shape[0])
        check_status(status)


# A process uses few lengths: the service's windows and a detector's.  Long plans are not kept: the cache stays below 40 MB.
_kept_plan = functools.lru_cache(maxsize=32)(_Plan)


def _plan(size_t n, int kind, dtype):
    return _kept_plan(n, kind, dtype) if n <= 16384 else _Plan(n, kind, dtype)


def _precision(x, single, double_):
    """A contiguous 1-D array of the wanted kind: single precision stays single, everything else becomes double."""
    x = np.asarray(x)
    if x.ndim != 1:
        raise InvalidInput(f"shape {x.shape} of a transform's data: expected one dimension")
    wanted = single if x.dtype in (np.float32, np.complex64) else double_
    return np.ascontiguousarray(x, wanted)


cdef int _transform(_Plan plan, const real[::1] x, real[::1] out, int kind, bint inverse) except -1:
    work = np.empty(plan.work_len, plan.dtype)
    cdef real[::1] w = work
    cdef int status
    cdef void *block = <void *> &plan.block[0]
    cdef const real *source = &x[0]
    with nogil:
        if real is double:
            if kind == csrc.EAD_FFT_COMPLEX:
                if inverse:
                    status = csrc.ead_ifft(<csrc.ead_fft_plan *> block, source, &out[0], &w[0], w.shape[0])
                else:
                    status = csrc.ead_fft(<csrc.ead_fft_plan *> block, source, &out[0], &w[0], w.shape[0])
            elif inverse:
                status = csrc.ead_irfft(<csrc.ead_fft_plan *> block, source, &out[0], &w[0], w.shape[0])
            else:
                status = csrc.ead_rfft(<csrc.ead_fft_plan *> block, source, &out[0], &w[0], w.shape[0])
        else:
            if kind == csrc.EAD_FFT_COMPLEX:
                if inverse:
                    status = csrc.ead32_ifft(<csrc.ead32_fft_plan *> block, source, &out[0], &w[0], w.shape[0])
                else:
                    status = csrc.ead32_fft(<csrc.ead32_fft_plan *> block, source, &out[0], &w[0], w.shape[0])
            elif inverse:
                status = csrc.ead32_irfft(<csrc.ead32_fft_plan *> block, source, &out[0], &w[0], w.shape[0])
            else:
                status = csrc.ead32_rfft(<csrc.ead32_fft_plan *> block, source, &out[0], &w[0], w.shape[0])
    check_status(status)
    return 0


cdef _run(x, out, int kind, bint inverse, size_t n):
    """Transforms x into out; both are viewed as plain numbers of the data's precision."""
    dtype = np.float32 if x.dtype in (np.float32, np.complex64) else np.float64
    plan = _plan(n, kind, dtype)
    if dtype == np.float32:
        _transform[float](plan, x.view(dtype), out.view(dtype), kind, inverse)
    else:
        _transform[double](plan, x.view(dtype), out.view(dtype), kind, inverse)
    return out


def fft(x):
    """Forward transform of n complex (or real) numbers, any n.

    Parameters
    ----------
    x : array_like, shape (n,), n = 1..EAD_FFT_MAX_LEN
        float32 and complex64 are computed in single precision, everything else in double.

    Returns
    -------
    ndarray of complex128 or complex64, shape (n,)
        ``sum(x[j] exp(-2 pi i j k / n))``, as ``numpy.fft.fft``.

    Raises
    ------
    InvalidInput
        If `x` is not one-dimensional or its length is out of range.
    """
    x = _precision(x, np.complex64, np.complex128)
    return _run(x, np.empty_like(x), csrc.EAD_FFT_COMPLEX, False, len(x))


def ifft(x):
    """Inverse of `fft`, with the factor 1/n; parameters and errors as there."""
    x = _precision(x, np.complex64, np.complex128)
    return _run(x, np.empty_like(x), csrc.EAD_FFT_COMPLEX, True, len(x))


def rfft(x):
    """Bins 0..n//2 of the transform of n real numbers; parameters and errors as `fft`."""
    x = _precision(x, np.float32, np.float64)
    out = np.empty(len(x) // 2 + 1, np.complex64 if x.dtype == np.float32 else np.complex128)
    return _run(x, out, csrc.EAD_FFT_REAL, False, len(x))


def irfft(x, n=None):
    """Inverse of `rfft`.

    Parameters
    ----------
    x : array_like of complex, shape (n // 2 + 1,)
    n : int, optional
        Points of the result; 2 (len(x) - 1) if not given, as in NumPy.

    Returns
    -------
    ndarray of float64 or float32, shape (n,)

    Raises
    ------
    InvalidInput
        If `x` is not one-dimensional, does not have n // 2 + 1 elements or n is out of range.
    """
    x = _precision(x, np.complex64, np.complex128)
    n = 2 * (len(x) - 1) if n is None else n
    if n < 1 or len(x) != n // 2 + 1:
        raise InvalidInput(f"{len(x)} bins for {n} points: expected n // 2 + 1 bins and at least one point")
    out = np.empty(n, np.float32 if x.dtype == np.complex64 else np.float64)
    return _run(x, out, csrc.EAD_FFT_REAL, True, n)
