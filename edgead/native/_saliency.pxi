# Saliency map of a whole window: the binding of ead_saliency.  Included by _kernel.pyx after _fourier.pxi.

cdef _saliency_run(const real[::1] x, real[::1] out, int rule):
    cdef _Plan plan = _plan(x.shape[0], csrc.EAD_FFT_COMPLEX, np.float64 if real is double else np.float32)
    cdef int status
    cdef void *block = <void *> &plan.block[0]
    work = np.empty(csrc.ead_saliency_work_len(x.shape[0]), plan.dtype)
    cdef real[::1] w = work
    with nogil:
        if real is double:
            status = csrc.ead_saliency(<csrc.ead_fft_plan *> block, &x[0], rule, &out[0], &w[0], w.shape[0])
        else:
            status = csrc.ead32_saliency(<csrc.ead32_fft_plan *> block, &x[0], rule, &out[0], &w[0], w.shape[0])
    check_status(status)


def saliency(x, *, service=False):
    """Saliency map of a window by spectral residual.

    Parameters
    ----------
    x : array_like, shape (n,), n >= 4
        Finite.  float32 is computed in single precision, everything else in double.
    service : bool
        True follows the cloud service exactly (all bins, a magnitude of zero counts as 1, no floor); False is the
        streaming detector's rule (the mean dropped, a floor at rounding noise).

    Returns
    -------
    ndarray of float64 or float32, shape (n,)
        No unit, >= 0; of the order of 1/sqrt(n) for noise.

    Raises
    ------
    InvalidInput
        If `x` is not one-dimensional, too short, or holds NaN or infinity.

    Notes
    -----
    arXiv 1906.03821, section 4.1, with the geometric mean of the magnitudes trailing over three bins.
    """
    x = _precision(x, np.float32, np.float64)
    if len(x) < csrc.EAD_SALIENCY_MIN_LEN:
        raise InvalidInput(f"{len(x)} points for a saliency map: expected at least {csrc.EAD_SALIENCY_MIN_LEN}")
    out = np.empty_like(x)
    rule = csrc.EAD_SALIENCY_SERVICE if service else csrc.EAD_SALIENCY_STREAM
    if x.dtype == np.float32:
        _saliency_run[float](x, out, rule)
    else:
        _saliency_run[double](x, out, rule)
    return out
