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


cdef extern from "edgead_f32.h" nogil:
    ctypedef double ead_wide
    enum:
        EAD_FFT_COMPLEX
        EAD_FFT_REAL
        EAD_FFT_MAX_LEN
        EAD_SALIENCY_STREAM
        EAD_SALIENCY_SERVICE
        EAD_SALIENCY_MIN_LEN

    # Fourier transform; sizes in bytes, lengths in elements of the precision
    ctypedef struct ead_fft_plan:
        pass
    size_t ead_fft_plan_size(size_t n, int kind)
    size_t ead_fft_work_len(size_t n, int kind)
    int ead_fft_plan_init(ead_fft_plan *plan, size_t bytes, size_t n, int kind, double *work, size_t work_len)
    int ead_fft(const ead_fft_plan *plan, const double *x, double *out, double *work, size_t work_len)
    int ead_ifft(const ead_fft_plan *plan, const double *x, double *out, double *work, size_t work_len)
    int ead_rfft(const ead_fft_plan *plan, const double *x, double *out, double *work, size_t work_len)
    int ead_irfft(const ead_fft_plan *plan, const double *x, double *out, double *work, size_t work_len)

    ctypedef struct ead32_fft_plan:
        pass
    size_t ead32_fft_plan_size(size_t n, int kind)
    size_t ead32_fft_work_len(size_t n, int kind)
    int ead32_fft_plan_init(ead32_fft_plan *plan, size_t bytes, size_t n, int kind, float *work, size_t work_len)
    int ead32_fft(const ead32_fft_plan *plan, const float *x, float *out, float *work, size_t work_len)
    int ead32_ifft(const ead32_fft_plan *plan, const float *x, float *out, float *work, size_t work_len)
    int ead32_rfft(const ead32_fft_plan *plan, const float *x, float *out, float *work, size_t work_len)
    int ead32_irfft(const ead32_fft_plan *plan, const float *x, float *out, float *work, size_t work_len)

    # saliency map of a whole window; lengths in elements of the precision
    size_t ead_saliency_work_len(size_t n)
    int ead_saliency(const ead_fft_plan *plan, const double *x, int rule, double *map, double *work, size_t work_len)
    size_t ead32_saliency_work_len(size_t n)
    int ead32_saliency(const ead32_fft_plan *plan, const float *x, int rule, float *map, float *work, size_t work_len)
