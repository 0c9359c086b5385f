/* The C suite: golden vectors, statuses, limits.  A plain program: suite GOLDEN_FILE; exit code 0 = all
 * passed. Built for double, for the float copies of a build of both (SUITE_F32), and for float alone with the
 * microcontroller's configuration.  SPDX-License-Identifier: Apache-2.0 */
#include "checks.h"

int failures, checks;

/* Greatest error allowed, as a share of the greatest value of the result. */
static double tolerance(void)
{
    return sizeof(ead_real) == 4 ? 2e-5 : 1e-11;
}

static ead_real *lend_reals(size_t count)
{
    return lend(count * sizeof(ead_real));
}

static void check_close(const char *name, size_t parameter, const ead_real *got, const ead_real *wanted,
                        size_t count)
{
    double greatest = 0, error = 0;
    for (size_t i = 0; i < count; i++) {
        double off = fabs((double)got[i] - (double)wanted[i]);
        greatest = fmax(greatest, fabs((double)wanted[i]));
        error = off <= error ? error : off; /* a NaN ends up in error */
    }
    checks++;
    if (!(error <= tolerance() * greatest)) {
        failures++;
        printf("%s %zu: error %g of %g\n", name, parameter, error, greatest);
    }
}

/* ---- golden vectors ---- */

struct golden {
    char name[32];
    size_t parameter, given_len, result_len;
    ead_real *given, *result;
};

static ead_real *read_numbers(FILE *file, size_t count)
{
    ead_real *numbers = lend_reals(count);
    for (size_t i = 0; i < count; i++) {
        double number;
        if (fscanf(file, "%lf", &number) != 1)
            exit(2);
        numbers[i] = (ead_real)number;
    }
    return numbers;
}

static int read_golden(FILE *file, struct golden *g)
{
    if (fscanf(file, "%31s %zu %zu %zu", g->name, &g->parameter, &g->given_len, &g->result_len) != 4)
        exit(2);
    g->given = read_numbers(file, g->given_len);
    g->result = read_numbers(file, g->result_len);
    return strcmp(g->name, "end") != 0;
}

struct transform {
    ead_fft_plan *plan;
    ead_real *work;
    size_t work_len;
};

static struct transform make_transform(size_t n, int kind)
{
    struct transform t;
    size_t bytes = ead_fft_plan_size(n, kind);
    t.work_len = ead_fft_work_len(n, kind);
    t.plan = lend(bytes);
    t.work = lend_reals(t.work_len);
    CHECK(ead_fft_plan_init(t.plan, bytes, n, kind, t.work, t.work_len) == EAD_OK);
    return t;
}

static void free_transform(struct transform t)
{
    free(t.plan);
    free(t.work);
}

static void golden_fft(const struct golden *g)
{
    struct transform t = make_transform(g->parameter, EAD_FFT_COMPLEX);
    ead_real *out = lend_reals(g->result_len);
    CHECK(ead_fft(t.plan, g->given, out, t.work, t.work_len) == EAD_OK);
    check_close("fft", g->parameter, out, g->result, g->result_len);
    CHECK(ead_ifft(t.plan, out, out, t.work, t.work_len) == EAD_OK);
    check_close("ifft in place", g->parameter, out, g->given, g->given_len);
    free(out);
    free_transform(t);
}

static void golden_rfft(const struct golden *g)
{
    struct transform t = make_transform(g->parameter, EAD_FFT_REAL);
    ead_real *out = lend_reals(g->result_len), *back = lend_reals(g->given_len);
    CHECK(ead_rfft(t.plan, g->given, out, t.work, t.work_len) == EAD_OK);
    check_close("rfft", g->parameter, out, g->result, g->result_len);
    CHECK(ead_irfft(t.plan, out, back, t.work, t.work_len) == EAD_OK);
    check_close("irfft", g->parameter, back, g->given, g->given_len);
    free(out);
    free(back);
    free_transform(t);
}

static void golden_saliency(const struct golden *g, int rule)
{
    struct transform t = make_transform(g->parameter, EAD_FFT_COMPLEX);
    size_t work_len = ead_saliency_work_len(g->parameter);
    ead_real *map = lend_reals(g->result_len), *work = lend_reals(work_len);
    CHECK(ead_saliency(t.plan, g->given, rule, map, work, work_len) == EAD_OK);
    check_close(g->name, g->parameter, map, g->result, g->result_len);
    free(map);
    free(work);
    free_transform(t);
}

struct sliding {
    ead_slide_table *table;
    ead_slide *state;
    size_t bytes;
};

static struct sliding make_sliding(size_t n, size_t mean_len, int isa)
{
    struct sliding s;
    size_t table_bytes = ead_slide_table_size(n);
    s.bytes = ead_slide_size(n, mean_len);
    s.table = lend(table_bytes);
    s.state = lend(s.bytes);
    CHECK(ead_slide_table_init(s.table, table_bytes, n, isa) == EAD_OK);
    CHECK(ead_slide_init(s.state, s.bytes, n, mean_len) == EAD_OK);
    return s;
}

static void free_sliding(struct sliding s)
{
    free(s.table);
    free(s.state);
}

static void golden_slide(const struct golden *g, int isa)
{
    struct sliding s = make_sliding(g->parameter, 0, isa);
    ead_real *out = lend_reals(g->result_len);
    for (size_t i = 0; i < g->given_len; i++)
        CHECK(ead_slide_feed(s.state, s.table, (ead_wide)g->given[i], &out[i]) == EAD_OK);
    check_close("slide", g->parameter, out, g->result, g->result_len);
    free(out);
    free_sliding(s);
}

static int isa_here(int isa)
{
    size_t bytes = ead_slide_table_size(8);
    ead_slide_table *table = lend(bytes);
    int status = ead_slide_table_init(table, bytes, 8, isa);
    free(table);
    return status == EAD_OK;
}

static void golden_order(const struct golden *g)
{
    size_t bytes = ead_order_size(g->parameter);
    ead_order *state = lend(bytes);
    ead_real *out = lend_reals(g->result_len);
    CHECK(ead_order_init(state, bytes, g->parameter) == EAD_OK);
    for (size_t i = 0; i < g->given_len; i++) {
        CHECK(ead_order_push(state, g->given[i]) == EAD_OK);
        CHECK(ead_order_check(state, bytes, g->parameter) == EAD_OK);
        int status = strcmp(g->name, "median") == 0 ? ead_order_median(state, &out[i])
                     : strcmp(g->name, "mad") == 0  ? ead_order_mad(state, &out[i])
                                                    : ead_order_quantile(state, (ead_wide)0.9, &out[i]);
        CHECK(status == EAD_OK);
    }
    check_close(g->name, g->parameter, out, g->result, g->result_len);
    free(out);
    free(state);
}

static void golden_vectors(const char *path)
{
    FILE *file = fopen(path, "r");
    struct golden g;
    if (!file)
        exit(2);
    for (int more = 1; more;) {
        more = read_golden(file, &g);
        if (strcmp(g.name, "fft") == 0)
            golden_fft(&g);
        else if (strcmp(g.name, "rfft") == 0)
            golden_rfft(&g);
        else if (strcmp(g.name, "saliency") == 0)
            golden_saliency(&g, EAD_SALIENCY_STREAM);
        else if (strcmp(g.name, "service_saliency") == 0)
            golden_saliency(&g, EAD_SALIENCY_SERVICE);
        else if (strcmp(g.name, "slide") == 0)
            for (int isa = EAD_ISA_BEST; isa <= EAD_ISA_AVX512; isa++)
                isa_here(isa) ? golden_slide(&g, isa) : (void)0;
        else if (more)
            golden_order(&g);
        free(g.given);
        free(g.result);
    }
    fclose(file);
}

/* ---- sizes, statuses, limits ---- */

static void sizes_of_lengths_out_of_range_are_zero(void)
{
    const size_t huge = (size_t)-1;
    CHECK(ead_fft_plan_size(0, EAD_FFT_REAL) == 0 && ead_fft_plan_size(8, 2) == 0 &&
          ead_fft_plan_size(8, -1) == 0);
    CHECK(ead_fft_plan_size((size_t)EAD_FFT_MAX_LEN + 1, EAD_FFT_COMPLEX) == 0 &&
          ead_fft_plan_size(huge, 0) == 0);
    CHECK(ead_fft_work_len(0, EAD_FFT_REAL) == 0 && ead_fft_work_len(huge, EAD_FFT_REAL) == 0);
    CHECK(ead_saliency_work_len(EAD_SALIENCY_MIN_LEN - 1) == 0 && ead_saliency_work_len(huge) == 0);
    CHECK(ead_slide_table_size(EAD_SLIDE_MIN_LEN - 1) == 0 && ead_slide_table_size(huge) == 0);
    CHECK(ead_slide_size(EAD_SLIDE_MAX_LEN + 1, 0) == 0 && ead_slide_size(8, EAD_SLIDE_MAX_MEAN + 1) == 0);
    CHECK(ead_order_size(0) == 0 && ead_order_size(EAD_ORDER_MAX_LEN + 1) == 0 && ead_order_size(huge) == 0);
}

static void the_sliding_state_is_as_small_as_promised(void)
{
    for (size_t n = EAD_SLIDE_MIN_LEN; n <= 4096; n = n * 3 / 2 + 1)
        CHECK(ead_slide_size(n, 0) <= 3 * n * sizeof(ead_real) + 128);
}

static void too_little_memory_is_refused(void)
{
    struct transform t = make_transform(30, EAD_FFT_COMPLEX);
    struct sliding s = make_sliding(30, 4, EAD_ISA_BEST);
    ead_real x[60] = {0};
    size_t bytes = ead_fft_plan_size(30, EAD_FFT_COMPLEX), work_len = ead_saliency_work_len(30);
    ead_real *work = lend_reals(work_len);
    CHECK(ead_fft_plan_init(t.plan, bytes - 1, 30, EAD_FFT_COMPLEX, t.work, t.work_len) == EAD_E_WORK);
    CHECK(ead_fft_plan_init(t.plan, bytes, 30, EAD_FFT_COMPLEX, t.work, t.work_len - 1) == EAD_E_WORK);
    CHECK(ead_fft(t.plan, x, x, t.work, t.work_len - 1) == EAD_E_WORK);
    CHECK(ead_saliency(t.plan, x, EAD_SALIENCY_STREAM, x, work, work_len - 1) == EAD_E_WORK);
    CHECK(ead_slide_init(s.state, s.bytes - 1, 30, 4) == EAD_E_WORK);
    CHECK(ead_slide_table_init(s.table, ead_slide_table_size(30) - 1, 30, EAD_ISA_BEST) == EAD_E_WORK);
    CHECK(ead_order_init((ead_order *)work, ead_order_size(30) - 1, 30) == EAD_E_WORK);
    free(work);
    free_transform(t);
    free_sliding(s);
}

static void wrong_parameters_are_refused(void)
{
    struct transform t = make_transform(30, EAD_FFT_COMPLEX);
    struct sliding s = make_sliding(30, 4, EAD_ISA_BEST);
    ead_real x[60] = {0}, work[1200];
    CHECK(ead_fft_plan_init(t.plan, 0, 0, EAD_FFT_REAL, t.work, 0) == EAD_E_LENGTH);
    CHECK(ead_fft_plan_init(t.plan, 0, 30, 7, t.work, 0) == EAD_E_RANGE);
    CHECK(ead_saliency(t.plan, x, 2, x, work, 1200) == EAD_E_RANGE);
    CHECK(ead_slide_init(s.state, s.bytes, EAD_SLIDE_MIN_LEN - 1, 0) == EAD_E_LENGTH);
    CHECK(ead_slide_init(s.state, s.bytes, 30, EAD_SLIDE_MAX_MEAN + 1) == EAD_E_RANGE);
    CHECK(ead_slide_table_init(s.table, 0, EAD_SLIDE_MIN_LEN - 1, EAD_ISA_BEST) == EAD_E_LENGTH);
    CHECK(ead_slide_table_init(s.table, 0, 30, 99) == EAD_E_RANGE &&
          ead_slide_table_init(s.table, 0, 30, -1) == EAD_E_RANGE);
    CHECK(ead_order_init((ead_order *)work, sizeof work, 0) == EAD_E_LENGTH);
    free_transform(t);
    free_sliding(s);
}

static void a_block_that_is_not_a_state_is_refused(void)
{
    struct transform complex_plan = make_transform(30, EAD_FFT_COMPLEX),
                     real_plan = make_transform(30, EAD_FFT_REAL);
    struct sliding s = make_sliding(30, 4, EAD_ISA_BEST), longer = make_sliding(31, 4, EAD_ISA_BEST);
    ead_real x[62] = {0}, work[1200] = {0}, out;
    CHECK(ead_rfft(complex_plan.plan, x, x, work, 1200) == EAD_E_STATE);
    CHECK(ead_fft(real_plan.plan, x, x, work, 1200) == EAD_E_STATE);
    CHECK(ead_saliency(real_plan.plan, x, EAD_SALIENCY_STREAM, x, work, 1200) == EAD_E_STATE);
    CHECK(ead_slide_feed(s.state, longer.table, 1, &out) == EAD_E_STATE);
    CHECK(ead_slide_feed((ead_slide *)work, s.table, 1, &out) == EAD_E_STATE);
    CHECK(ead_slide_replace(s.state, (ead_slide_table *)s.state, 0, 1) == EAD_E_STATE);
    CHECK(ead_slide_table_isa((ead_slide_table *)s.state) == EAD_E_STATE);
    CHECK(ead_slide_check(s.state, s.bytes - 1, 30, 4) == EAD_E_STATE);
    CHECK(ead_slide_check(s.state, s.bytes, 30, 3) == EAD_E_STATE &&
          ead_slide_check(s.state, s.bytes, 29, 4) == EAD_E_STATE);
    CHECK(ead_slide_check((ead_slide *)work, sizeof work, 30, 4) == EAD_E_STATE);
    CHECK(ead_order_push((ead_order *)work, 1) == EAD_E_STATE &&
          ead_order_median((ead_order *)work, &out) == EAD_E_STATE);
    CHECK(ead_order_check((ead_order *)work, sizeof work, 30) == EAD_E_STATE);
    free_transform(complex_plan);
    free_transform(real_plan);
    free_sliding(s);
    free_sliding(longer);
}

static void values_that_are_not_finite_are_refused_and_change_nothing(void)
{
    struct transform t = make_transform(30, EAD_FFT_COMPLEX);
    struct sliding s = make_sliding(30, 4, EAD_ISA_BEST);
    size_t order_bytes = ead_order_size(5), work_len = ead_saliency_work_len(30);
    ead_order *order = lend(order_bytes);
    ead_real x[30] = {0}, map[30] = {0}, *work = lend_reals(work_len), out = 7;
    char *before = lend(s.bytes);
    CHECK(ead_order_init(order, order_bytes, 5) == EAD_OK && ead_order_push(order, 1) == EAD_OK);
    for (int i = 0; i < 40; i++)
        CHECK(ead_slide_feed(s.state, s.table, (ead_wide)(i % 7), &out) == EAD_OK);
    memcpy(before, s.state, s.bytes);
    out = 7;
    const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    for (int i = 0; i < 3; i++) {
        x[29] = (ead_real)bad[i];
        CHECK(ead_saliency(t.plan, x, EAD_SALIENCY_STREAM, map, work, work_len) == EAD_E_NOT_FINITE &&
              map[0] == 0);
        CHECK(ead_slide_feed(s.state, s.table, (ead_wide)bad[i], &out) == EAD_E_NOT_FINITE);
        CHECK(ead_slide_replace(s.state, s.table, 0, (ead_wide)bad[i]) == EAD_E_NOT_FINITE);
        CHECK(ead_order_push(order, (ead_real)bad[i]) == EAD_E_NOT_FINITE);
        CHECK(ead_order_replace(order, 0, (ead_real)bad[i]) == EAD_E_NOT_FINITE);
    }
    CHECK(ead_slide_feed(s.state, s.table, (ead_wide)1e30 * (sizeof(ead_real) == 8 ? (ead_wide)1e30 : 1),
                         &out) == (sizeof(ead_real) == 8 ? EAD_OK : EAD_E_RANGE));
    if (sizeof(ead_real) == 4)
        CHECK(memcmp(before, s.state, s.bytes) == 0 && out == 7);
    CHECK(ead_slide_replace(s.state, s.table, 30, 1) == EAD_E_RANGE);
    CHECK(ead_order_replace(order, 1, 1) == EAD_E_RANGE);
    CHECK(ead_order_quantile(order, (ead_wide)1.5, &out) == EAD_E_RANGE &&
          ead_order_quantile(order, (ead_wide)NAN, &out) == EAD_E_RANGE);
    free(before);
    free(order);
    free(work);
    free_transform(t);
    free_sliding(s);
}

static void an_empty_order_answers_nothing(void)
{
    size_t bytes = ead_order_size(5);
    ead_order *order = lend(bytes);
    ead_real out;
    CHECK(ead_order_init(order, bytes, 5) == EAD_OK && ead_order_count(order) == 0);
    CHECK(ead_order_median(order, &out) == EAD_E_LENGTH && ead_order_mad(order, &out) == EAD_E_LENGTH);
    CHECK(ead_order_quantile(order, 0, &out) == EAD_E_LENGTH);
    free(order);
}

/* ---- behaviour ---- */

static void a_state_copied_as_bytes_goes_on_bit_for_bit(void)
{
    struct sliding s = make_sliding(37, 8, EAD_ISA_BEST);
    ead_real a = 0, b = 0;
    for (int i = 0; i < 100; i++)
        CHECK(ead_slide_feed(s.state, s.table, (ead_wide)(i * i % 11), &a) == EAD_OK);
    ead_slide *copy = lend(s.bytes);
    memcpy(copy, s.state, s.bytes);
    CHECK(ead_slide_check(copy, s.bytes, 37, 8) == EAD_OK && ead_slide_count(copy) == 100);
    for (int i = 0; i < 100; i++) {
        CHECK(ead_slide_feed(s.state, s.table, (ead_wide)(i * i % 13), &a) == EAD_OK);
        CHECK(ead_slide_feed(copy, s.table, (ead_wide)(i * i % 13), &b) == EAD_OK && a == b);
        CHECK(ead_slide_mean(copy) == ead_slide_mean(s.state));
    }
    CHECK(memcmp(copy, s.state, s.bytes) == 0);
    free(copy);
    free_sliding(s);
}

static void a_constant_is_silent_and_a_spike_is_not(void)
{
    struct sliding s = make_sliding(64, 0, EAD_ISA_BEST);
    ead_real out = 1;
    for (int i = 0; i < 200; i++)
        CHECK(ead_slide_feed(s.state, s.table, (ead_wide)21.7, &out) == EAD_OK && out == 0);
    CHECK(ead_slide_feed(s.state, s.table, 30, &out) == EAD_OK && out > (ead_real)0.5);
    free_sliding(s);
}

static void every_status_has_its_own_text(void)
{
    for (int a = EAD_E_STATE - 1; a <= EAD_OK; a++)
        for (int b = EAD_E_STATE - 1; b < a; b++)
            CHECK(strcmp(ead_status_text(a), ead_status_text(b)) != 0);
    CHECK(strcmp(ead_status_text(1), ead_status_text(-99)) == 0);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: suite GOLDEN_FILE\n");
        return 2;
    }
    golden_vectors(argv[1]);
    sizes_of_lengths_out_of_range_are_zero();
    the_sliding_state_is_as_small_as_promised();
    too_little_memory_is_refused();
    wrong_parameters_are_refused();
    a_block_that_is_not_a_state_is_refused();
    values_that_are_not_finite_are_refused_and_change_nothing();
    an_empty_order_answers_nothing();
    a_state_copied_as_bytes_goes_on_bit_for_bit();
    a_constant_is_silent_and_a_spike_is_not();
    every_status_has_its_own_text();
    states();
    printf("%d checks, %d failed\n", checks, failures);
    return failures ? 1 : 0;
}
