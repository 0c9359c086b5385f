# Mirror of csrc/include/edgead.h, in its order, with units.

from libc.stdint cimport int64_t, uint32_t, uint64_t


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
        EAD_ISA_BEST
        EAD_ISA_PORTABLE
        EAD_ISA_AVX2
        EAD_ISA_AVX512
        EAD_SLIDE_MIN_LEN
        EAD_SLIDE_MAX_LEN
        EAD_SLIDE_MAX_MEAN
        EAD_SPECTRAL_MIN_LEN
        EAD_SPECTRAL_MAX_LEN
        EAD_BOTH
        EAD_ABOVE
        EAD_BELOW
        EAD_ORDER_MAX_LEN

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

    # sliding saliency of the newest point; sizes in bytes, n in points, age 0 = newest
    ctypedef struct ead_slide_table:
        pass
    ctypedef struct ead_slide:
        pass
    size_t ead_slide_table_size(size_t n)
    int ead_slide_table_init(ead_slide_table *table, size_t bytes, size_t n, int isa)
    int ead_slide_table_isa(const ead_slide_table *table)
    size_t ead_slide_size(size_t n, size_t mean_len)
    int ead_slide_init(ead_slide *state, size_t bytes, size_t n, size_t mean_len)
    int ead_slide_check(const ead_slide *state, size_t bytes, size_t n, size_t mean_len)
    int ead_slide_feed(ead_slide *state, const ead_slide_table *table, ead_wide x, double *saliency)
    int ead_slide_replace(ead_slide *state, const ead_slide_table *table, size_t age, ead_wide x)
    double ead_slide_mean(const ead_slide *state)
    uint64_t ead_slide_count(const ead_slide *state)

    ctypedef struct ead32_slide_table:
        pass
    ctypedef struct ead32_slide:
        pass
    size_t ead32_slide_table_size(size_t n)
    int ead32_slide_table_init(ead32_slide_table *table, size_t bytes, size_t n, int isa)
    int ead32_slide_table_isa(const ead32_slide_table *table)
    size_t ead32_slide_size(size_t n, size_t mean_len)
    int ead32_slide_init(ead32_slide *state, size_t bytes, size_t n, size_t mean_len)
    int ead32_slide_check(const ead32_slide *state, size_t bytes, size_t n, size_t mean_len)
    int ead32_slide_feed(ead32_slide *state, const ead32_slide_table *table, ead_wide x, float *saliency)
    int ead32_slide_replace(ead32_slide *state, const ead32_slide_table *table, size_t age, ead_wide x)
    float ead32_slide_mean(const ead32_slide *state)
    uint64_t ead32_slide_count(const ead32_slide *state)

    # order statistics of the last values; sizes in bytes, n in values, age 0 = newest
    ctypedef struct ead_order:
        pass
    size_t ead_order_size(size_t n)
    int ead_order_init(ead_order *state, size_t bytes, size_t n)
    int ead_order_check(const ead_order *state, size_t bytes, size_t n)
    size_t ead_order_count(const ead_order *state)
    int ead_order_push(ead_order *state, double x)
    int ead_order_replace(ead_order *state, size_t age, double x)
    int ead_order_quantile(const ead_order *state, ead_wide share, double *quantile)
    int ead_order_median(const ead_order *state, double *median)
    int ead_order_mad(const ead_order *state, double *mad)

    ctypedef struct ead32_order:
        pass
    size_t ead32_order_size(size_t n)
    int ead32_order_init(ead32_order *state, size_t bytes, size_t n)
    int ead32_order_check(const ead32_order *state, size_t bytes, size_t n)
    size_t ead32_order_count(const ead32_order *state)
    int ead32_order_push(ead32_order *state, float x)
    int ead32_order_replace(ead32_order *state, size_t age, float x)
    int ead32_order_quantile(const ead32_order *state, ead_wide share, float *quantile)
    int ead32_order_median(const ead32_order *state, float *median)
    int ead32_order_mad(const ead32_order *state, float *mad)

    # streaming detector; sizes in bytes, n in rows, missing in rows, age in readings, 0 = newest
    ctypedef struct ead_spectral_settings:
        int sensitivity
        int direction
        ead_wide min_abs
        ead_wide min_rel
    ctypedef struct ead_verdict:
        ead_wide score
        ead_wide severity
        ead_wide expected
        ead_wide lower
        ead_wide upper
        int is_anomaly
    ctypedef struct ead_spectral_facts:
        ead_wide views[8]
        ead_wide bounds[8]
        ead_wide saliency
        ead_wide scale
        ead_wide baseline
        ead_wide forecast
        ead_wide boost
        uint64_t seen
        uint32_t season
        uint32_t run
        int winner

    ctypedef struct ead_spectral:
        pass
    size_t ead_spectral_size(size_t n)
    int ead_spectral_init(ead_spectral *state, size_t bytes, size_t n, const ead_spectral_settings *settings)
    int ead_spectral_configure(ead_spectral *state, const ead_spectral_settings *settings)
    int ead_spectral_check(const ead_spectral *state, size_t bytes, size_t n)
    int ead_spectral_judge(ead_spectral *state, const ead_slide_table *table, ead_wide value, uint64_t missing,
                           ead_verdict *out)
    int ead_spectral_judge_many(ead_spectral *state, const ead_slide_table *table, const ead_wide *values,
                               const uint64_t *missing, size_t count, ead_verdict *out)
    int ead_spectral_revise(ead_spectral *state, const ead_slide_table *table, size_t age, ead_wide value)
    uint64_t ead_spectral_needed(const ead_spectral *state)
    int ead_spectral_explain(const ead_spectral *state, ead_spectral_facts *out)

    ctypedef struct ead32_spectral:
        pass
    size_t ead32_spectral_size(size_t n)
    int ead32_spectral_init(ead32_spectral *state, size_t bytes, size_t n, const ead_spectral_settings *settings)
    int ead32_spectral_configure(ead32_spectral *state, const ead_spectral_settings *settings)
    int ead32_spectral_check(const ead32_spectral *state, size_t bytes, size_t n)
    int ead32_spectral_judge(ead32_spectral *state, const ead32_slide_table *table, ead_wide value, uint64_t missing,
                           ead_verdict *out)
    int ead32_spectral_judge_many(ead32_spectral *state, const ead32_slide_table *table, const ead_wide *values,
                               const uint64_t *missing, size_t count, ead_verdict *out)
    int ead32_spectral_revise(ead32_spectral *state, const ead32_slide_table *table, size_t age, ead_wide value)
    uint64_t ead32_spectral_needed(const ead32_spectral *state)
    int ead32_spectral_explain(const ead32_spectral *state, ead_spectral_facts *out)

    # rows for a network, its part in a verdict; day, length in rows, embeddings in numbers
    enum:
        EAD_ROWS_CHANNELS
        EAD_ROWS_MAX_DAY
        EAD_ROWS_MAX_LEN
    ctypedef struct ead_row_facts:
        ead_verdict verdict
        ead_wide value
        ead_wide scale
        ead_wide score
        int learning
    ctypedef struct ead_fuse_facts:
        ead_wide log_odds
        ead_wide limit
        ead_wide familiarity
        ead_wide distance
        ead_wide strangeness
        ead_wide told_from
        uint32_t patches
        int network

    ctypedef struct ead_rows:
        pass
    size_t ead_rows_size(size_t n, size_t day, size_t length)
    int ead_rows_init(ead_rows *state, size_t bytes, size_t n, size_t day, size_t length,
                      const ead_spectral_settings *settings)
    int ead_rows_configure(ead_rows *state, const ead_spectral_settings *settings)
    int ead_rows_check(const ead_rows *state, size_t bytes, size_t n, size_t day, size_t length)
    int ead_rows_judge(ead_rows *state, const ead_slide_table *table, ead_wide value, uint64_t missing, ead_row_facts *out)
    int ead_rows_judge_many(ead_rows *state, const ead_slide_table *table, const ead_wide *values, size_t count, float *rows)
    int ead_rows_history(const ead_rows *state, float *out)
    int ead_rows_revise(ead_rows *state, const ead_slide_table *table, size_t age, ead_wide value)
    uint64_t ead_rows_needed(const ead_rows *state)
    int ead_rows_explain(const ead_rows *state, ead_spectral_facts *out)

    ctypedef struct ead_bank:
        pass
    size_t ead_bank_size(size_t length, size_t patches)
    int ead_bank_init(ead_bank *state, size_t bytes, size_t length, size_t patches)
    int ead_bank_check(const ead_bank *state, size_t bytes, size_t length, size_t patches)
    int ead_bank_meet(ead_bank *state, const float *embedding, int learns, ead_wide *distance)
    ead_wide ead_bank_reach(const ead_bank *state)
    size_t ead_bank_count(const ead_bank *state)

    ctypedef struct ead_fuse:
        pass
    size_t ead_fuse_size(size_t length, size_t patches)
    int ead_fuse_init(ead_fuse *state, size_t bytes, size_t length, size_t patches, const ead_spectral_settings *settings)
    int ead_fuse_configure(ead_fuse *state, const ead_spectral_settings *settings)
    int ead_fuse_check(const ead_fuse *state, size_t bytes, size_t length, size_t patches)
    int ead_fuse_judge(ead_fuse *state, const ead_row_facts *row, float log_odds, const float *embedding, ead_verdict *out)
    int ead_fuse_explain(const ead_fuse *state, ead_fuse_facts *out)

    ctypedef struct ead32_rows:
        pass
    size_t ead32_rows_size(size_t n, size_t day, size_t length)
    int ead32_rows_init(ead32_rows *state, size_t bytes, size_t n, size_t day, size_t length,
                      const ead_spectral_settings *settings)
    int ead32_rows_configure(ead32_rows *state, const ead_spectral_settings *settings)
    int ead32_rows_check(const ead32_rows *state, size_t bytes, size_t n, size_t day, size_t length)
    int ead32_rows_judge(ead32_rows *state, const ead32_slide_table *table, ead_wide value, uint64_t missing, ead_row_facts *out)
    int ead32_rows_judge_many(ead32_rows *state, const ead32_slide_table *table, const ead_wide *values, size_t count, float *rows)
    int ead32_rows_history(const ead32_rows *state, float *out)
    int ead32_rows_revise(ead32_rows *state, const ead32_slide_table *table, size_t age, ead_wide value)
    uint64_t ead32_rows_needed(const ead32_rows *state)
    int ead32_rows_explain(const ead32_rows *state, ead_spectral_facts *out)

    ctypedef struct ead32_bank:
        pass
    size_t ead32_bank_size(size_t length, size_t patches)
    int ead32_bank_init(ead32_bank *state, size_t bytes, size_t length, size_t patches)
    int ead32_bank_check(const ead32_bank *state, size_t bytes, size_t length, size_t patches)
    int ead32_bank_meet(ead32_bank *state, const float *embedding, int learns, ead_wide *distance)
    ead_wide ead32_bank_reach(const ead32_bank *state)
    size_t ead32_bank_count(const ead32_bank *state)

    ctypedef struct ead32_fuse:
        pass
    size_t ead32_fuse_size(size_t length, size_t patches)
    int ead32_fuse_init(ead32_fuse *state, size_t bytes, size_t length, size_t patches, const ead_spectral_settings *settings)
    int ead32_fuse_configure(ead32_fuse *state, const ead_spectral_settings *settings)
    int ead32_fuse_check(const ead32_fuse *state, size_t bytes, size_t length, size_t patches)
    int ead32_fuse_judge(ead32_fuse *state, const ead_row_facts *row, float log_odds, const float *embedding, ead_verdict *out)
    int ead32_fuse_explain(const ead32_fuse *state, ead_fuse_facts *out)

# univariate detection as the cloud service did it; work lengths in elements of the pointer's type
cdef extern from "edgead.h" nogil:
    enum:
        EAD_SVC_MAX_LEN
    int ead_svc_parse_time(const char *text, size_t length, int64_t *micros)
    double ead_svc_decimal(uint64_t digits, unsigned places)
    int ead_svc_order(const double *v, size_t n, uint32_t *order, uint32_t *work, size_t work_len)
    int ead_svc_median(const double *v, size_t n, double *median, double *mad, double *work, size_t work_len)
    size_t ead_svc_running_median_work_len(size_t n)
    int ead_svc_running_median(const double *v, size_t n, size_t half, int single, double *out, uint64_t *work,
                               size_t work_len)
    size_t ead_svc_theil_sen_work_len(size_t n)
    int ead_svc_theil_sen(const double *v, size_t n, double *slope, double *work, size_t work_len)
    int ead_svc_straight_ends(double *v, size_t n, size_t width, double *work, size_t work_len)
    size_t ead_svc_spline_work_len(size_t n, size_t inner)
    int ead_svc_spline(const double *v, size_t n, size_t inner, double *out, double *work, size_t work_len)
    size_t ead_svc_stl_work_len(size_t n, size_t period)
    int ead_svc_stl(const double *y, size_t n, size_t period, double *trend, double *season, double *work,
                    size_t work_len)
    size_t ead_svc_phase_errors_work_len(size_t n)
    int ead_svc_phase_errors(const double *v, size_t n, const uint32_t *periods, size_t count, double *errors,
                             double *work, size_t work_len)
    int ead_svc_cut_phases(double *v, size_t n, size_t period, double *work, size_t work_len)
    double ead_svc_esd_limit(size_t m, double alpha)
    int ead_svc_esd(const double *t, size_t count, size_t start, size_t top, int first_only, double alpha,
                    size_t *flagged, double *work, size_t work_len)
    int ead_svc_residual_score(const double *map, size_t n, double *score)
    size_t ead_svc_stationary_work_len(size_t n)
    int ead_svc_adf(const double *v, size_t n, double *statistic, double *work, size_t work_len)
    int ead_svc_kpss(const double *v, size_t n, double *statistic, double *work, size_t work_len)
    size_t ead_svc_fill_work_len(size_t size)
    int ead_svc_fill(const uint32_t *index, const double *v, size_t n, size_t period, double *out, size_t size,
                     double *work, size_t work_len)
    int ead_svc_change_points(const double *y, size_t n, double tolerance, size_t window, unsigned char *flags,
                              double *scores)
