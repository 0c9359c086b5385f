# The points of a request, read from the text of its JSON without an object for each.  Included by _kernel.pyx.
#
# Only the usual form is read here; whatever else JSON allows is left to a whole decoder.
from libc.math cimport isfinite
from libc.stdlib cimport strtod
from libc.string cimport memcmp


cdef inline const char *_blank(const char *p, const char *end) noexcept nogil:
    """Past white space."""
    while p < end and (p[0] == b" " or p[0] == b"\n" or p[0] == b"\t" or p[0] == b"\r"):
        p += 1
    return p


cdef inline const char *_digits(const char *p, const char *end, uint64_t *digits) noexcept nogil:
    """Past decimal digits, which are put behind those that were read before (modulo 2^64)."""
    while p < end and b"0" <= p[0] <= b"9":
        digits[0] = 10 * digits[0] + <uint64_t> (p[0] - <char> b"0")
        p += 1
    return p


cdef const char *_number(const char *p, const char *end, double *value) noexcept nogil:
    """Past a number as JSON writes it, NULL if there is none; strtod alone would take hexadecimal and more.

    It reads what is long or has an exponent, and takes three times as long as whole numbers do for the rest.
    """
    cdef const char *start = p
    cdef const char *whole
    cdef const char *point
    cdef char *told
    cdef uint64_t digits = 0, unused = 0
    cdef unsigned places = 0
    cdef bint plain, negative = p < end and p[0] == b"-"
    if negative:
        p += 1
    whole = p
    p = _digits(p, end, &digits)
    if p == whole or (whole[0] == b"0" and p - whole > 1):
        return NULL
    if p < end and p[0] == b".":
        point = p + 1
        p = _digits(point, end, &digits)
        if p == point:
            return NULL
        places = <unsigned> (p - point)
    plain = p - whole <= 18
    if p < end and (p[0] == b"e" or p[0] == b"E"):
        plain = False
        p += 1
        if p < end and (p[0] == b"+" or p[0] == b"-"):
            p += 1
        point = p
        p = _digits(p, end, &unused)
        if p == point:
            return NULL
    if plain:
        value[0] = csrc.ead_svc_decimal(digits, places)
        if negative and (digits or places):  # -0 is a whole number of JSON, and those have one zero
            value[0] = -value[0]
        return p
    value[0] = strtod(start, &told)
    return p if <const char *> told == p and isfinite(value[0]) else NULL


cdef const char *_text(const char *p, const char *end, const char **start, size_t *length) noexcept nogil:
    """Past a string of printable ASCII without escapes, NULL if it is none."""
    if p >= end or p[0] != b'"':
        return NULL
    p += 1
    start[0] = p
    while p < end and p[0] != b'"':
        if p[0] < b" " or p[0] > b"~" or p[0] == b"\\":
            return NULL
        p += 1
    length[0] = p - start[0]
    return p + 1 if p < end else NULL


cdef const char *_point(
    const char *p, const char *end, double *value, int64_t *micros, bint *timed
) noexcept nogil:
    """Past ``{"timestamp": ..., "value": ...}`` in either order; NULL if it is anything else.

    `timed` is made false if there is no time, or one of an uncommon form.
    """
    cdef const char *name
    cdef const char *text
    cdef size_t size, length
    cdef bint has_value = False, has_time = False
    if p >= end or p[0] != b"{":
        return NULL
    while True:
        p = _text(_blank(p + 1, end), end, &name, &size)
        if p == NULL:
            return NULL
        p = _blank(p, end)
        if p >= end or p[0] != b":":
            return NULL
        p = _blank(p + 1, end)
        if size == 5 and memcmp(name, b"value", 5) == 0 and not has_value:
            p = _number(p, end, value)
            has_value = True
        elif size == 9 and memcmp(name, b"timestamp", 9) == 0 and not has_time:
            p = _text(p, end, &text, &length)
            has_time = p != NULL
            if has_time and timed[0] and csrc.ead_svc_parse_time(text, length, micros) != csrc.EAD_OK:
                timed[0] = False
        else:
            return NULL
        if p == NULL:
            return NULL
        p = _blank(p, end)
        if p < end and p[0] == b"}":
            timed[0] = timed[0] and has_time
            return p + 1 if has_value else NULL
        if p >= end or p[0] != b",":
            return NULL


cdef const char *_points(
    const char *p, const char *end, double *values, int64_t *micros, Py_ssize_t most, Py_ssize_t *n, bint *timed
) noexcept nogil:
    """Past an array of points, NULL if it is not wholly of the usual form or has more than `most`."""
    n[0] = 0
    if p >= end or p[0] != b"[":
        return NULL
    while n[0] < most:
        p = _point(_blank(p + 1, end), end, &values[n[0]], &micros[n[0]], timed)
        if p == NULL:
            return NULL
        n[0] += 1
        p = _blank(p, end)
        if p < end and p[0] == b"]":
            return p + 1
        if p >= end or p[0] != b",":
            return NULL
    return NULL


def svc_read_json(text):
    """The points of an array at the beginning of a text, if all are plain; without the interpreter's lock.

    Parameters
    ----------
    text : bytes-like
        Followed in memory by anything but a digit (the end of a whole JSON text will do).

    Returns
    -------
    values : ndarray of float64, shape (n,)
    micros : ndarray of int64, shape (n,), or None
        Microseconds since 1970 UTC; None unless every point has a time in a common form of ISO 8601.
    length : int
        Of the array in the text.

    None instead, unless the text begins with an array of 1 to EAD_SVC_MAX_LEN objects with a finite number as
    ``value`` and at most a ``timestamp`` of printable ASCII beside it.
    """
    cdef const unsigned char[::1] whole = text
    if whole.shape[0] == 0:
        return None
    # the shortest point, {"value":1}, and its comma have 12 letters
    cdef Py_ssize_t n, most = min(csrc.EAD_SVC_MAX_LEN, whole.shape[0] // 11 + 1)
    values, micros = np.empty(most), np.empty(most, np.int64)
    cdef double[::1] v = values
    cdef int64_t[::1] t = micros
    cdef const char *start = <const char *> &whole[0]
    cdef const char *behind
    cdef bint timed = True
    with nogil:
        behind = _points(start, start + whole.shape[0], &v[0], &t[0], most, &n, &timed)
    if behind == NULL:
        return None
    return values[:n].copy(), micros[:n].copy() if timed else None, behind - start
