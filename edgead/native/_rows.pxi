# Rows for a network: the binding of ead_rows.  Included by _kernel.pyx.

# Numbers of a row, in the order of the header.
ROW_CHANNELS = ("innovation", "jump", "fluctuation", "salient", "shift", "noise", "daily", "saliency", "run", "value",
                "score", "raw_innovation", "has_daily", "raw_shift")

# Rows of the longest day a profile is kept of.
ROWS_MAX_DAY = csrc.EAD_ROWS_MAX_DAY


# Numbers that `RowHistory.judge_many` tells of a reading.
cdef enum:
    ROW_FACTS = 11


cdef csrc.ead_spectral_settings _settings(int sensitivity, double min_abs, double min_rel, direction) except *:
    """Settings as C takes them; C checks their ranges."""
    cdef csrc.ead_spectral_settings settings
    if direction not in DIRECTIONS:
        raise InvalidInput(f"direction {direction!r}: expected one of {', '.join(DIRECTIONS)}")
    settings.sensitivity = sensitivity
    settings.direction = DIRECTIONS[direction]
    settings.min_abs = min_abs
    settings.min_rel = min_rel
    return settings


cdef _check_settings(int status, const csrc.ead_spectral_settings *settings):
    if status == csrc.EAD_E_RANGE:
        raise InvalidInput(f"sensitivity {settings.sensitivity}, min_abs {settings.min_abs}, min_rel {settings.min_rel}: "
                           "expected 0..100 and numbers >= 0")
    check_status(status)


cdef class RowHistory:
    """Takes the readings of one series one by one, and keeps rows of channels for a network.

    Parameters
    ----------
    window : int, 12..8640
        Rows the detector inside looks back on.
    rows_per_day : int, 0..1440
        Rows of a day: a profile of the day is kept; 0 = none.
    length : int, 1..512
        Rows of history.
    sensitivity, min_abs, min_rel, direction, single, isa
        As of `SpectralResidual`; no channel depends on the first four.

    Raises
    ------
    InvalidInput
        If a parameter is out of range.

    Notes
    -----
    Of one thread at a time: `judge_many` holds no lock of the interpreter, and calls that overlap damage the state.
    """

    cdef unsigned char[::1] block
    cdef SlideTable table
    cdef csrc.ead_spectral_settings settings
    cdef size_t day, length
    cdef bint single

    def __cinit__(self, size_t window, *, size_t rows_per_day=0, size_t length=63, int sensitivity=90, double min_abs=0.0,
                 double min_rel=0.0, direction="both", bint single=True, isa="best"):
        self.settings = _settings(sensitivity, min_abs, min_rel, direction)
        if csrc.ead_spectral_size(window) == 0:
            raise InvalidInput(
                f"window {window}: expected {csrc.EAD_SPECTRAL_MIN_LEN}..{csrc.EAD_SPECTRAL_MAX_LEN} rows")
        size = (csrc.ead32_rows_size(window, rows_per_day, length) if single
                else csrc.ead_rows_size(window, rows_per_day, length))
        if size == 0:
            raise InvalidInput(f"rows_per_day {rows_per_day}, length {length}: expected 0..{csrc.EAD_ROWS_MAX_DAY} "
                               f"and 1..{csrc.EAD_ROWS_MAX_LEN}")
        self.single, self.day, self.length = single, rows_per_day, length
        self.table = slide_table(window, single=single, isa=isa)
        self.block = _aligned(size)
        if single:
            status = csrc.ead32_rows_init(self.pointer32(), size, window, rows_per_day, length, &self.settings)
        else:
            status = csrc.ead_rows_init(self.pointer(), size, window, rows_per_day, length, &self.settings)
        _check_settings(status, &self.settings)

    cdef csrc.ead_rows *pointer(self) noexcept nogil:
        return <csrc.ead_rows *> &self.block[0]

    cdef csrc.ead32_rows *pointer32(self) noexcept nogil:
        return <csrc.ead32_rows *> &self.block[0]

    def judge(self, double value, long long missing=0, float[:, ::1] history=None):
        """Take the newest reading, `missing` rows after the one before.

        Parameters
        ----------
        value : float
            Finite.
        missing : int, >= 0
            Rows without a reading since the last one.
        history : ndarray of float32, shape (channels, length), optional
            Filled with the newest rows, oldest first; zeros where there were none yet.

        Returns
        -------
        tuple
            For `Fusion.judge`: score, severity, expected, lower, upper, is_anomaly, value, typical innovation, score at
            sensitivity 90, learning (True = no judgement yet).

        Raises
        ------
        InvalidInput
            If the value is not finite, `missing` negative or `history` of another shape; then nothing changes.
        """
        cdef csrc.ead_row_facts facts
        cdef int status
        if missing < 0:
            raise InvalidInput(f"missing {missing}: expected a number of rows >= 0")
        if history is not None and (history.shape[0] != csrc.EAD_ROWS_CHANNELS or history.shape[1] != <Py_ssize_t> self.length):
            raise InvalidInput(f"history of shape ({history.shape[0]}, {history.shape[1]}): expected "
                               f"({csrc.EAD_ROWS_CHANNELS}, {self.length})")
        if self.single:
            status = csrc.ead32_rows_judge(self.pointer32(), self.table.pointer32(), value, missing, &facts)
        else:
            status = csrc.ead_rows_judge(self.pointer(), self.table.pointer(), value, missing, &facts)
        if status == csrc.EAD_E_NOT_FINITE:
            raise InvalidInput(f"value {value}: expected a finite number")
        check_status(status)
        if history is not None:
            check_status(self.copy(&history[0, 0]))
        return (facts.verdict.score, facts.verdict.severity, facts.verdict.expected, facts.verdict.lower,
                facts.verdict.upper, facts.verdict.is_anomaly != 0, facts.value, facts.scale, facts.score,
                facts.learning != 0)

    def judge_many(self, const double[::1] values not None, const long long[::1] missing not None,
                   float[:, :, ::1] histories not None):
        """Take readings one after another, as `judge` would, bit for bit.

        Parameters
        ----------
        values : ndarray of float64, shape (count,)
            Finite.
        missing : ndarray of int64, shape (count,)
            Rows without a reading before each.
        histories : ndarray of float32, shape (count, channels, length)
            Filled: the newest rows at each reading, oldest first.

        Returns
        -------
        ndarray of float64, shape (count, 11)
            For `Fusion.judge_many`: of each reading what `judge` tells, and `needed` after it.

        Raises
        ------
        InvalidInput
            If shapes do not fit, a value is not finite or a number of rows negative; then nothing changes.
        """
        cdef Py_ssize_t i, count = values.shape[0]
        if (missing.shape[0] != count or histories.shape[0] != count or histories.shape[1] != csrc.EAD_ROWS_CHANNELS
                or histories.shape[2] != <Py_ssize_t> self.length):
            raise InvalidInput(f"{count} values, {missing.shape[0]} missing, histories of shape ({histories.shape[0]}, "
                               f"{histories.shape[1]}, {histories.shape[2]}): expected as many of each, of "
                               f"{csrc.EAD_ROWS_CHANNELS} channels and {self.length} rows")
        for i in range(count):
            if values[i] - values[i] != 0 or missing[i] < 0:
                raise InvalidInput(f"value {values[i]} after {missing[i]} missing rows: expected a finite number, and >= 0")
        out = np.empty((count, ROW_FACTS))
        cdef double[:, ::1] told = out
        cdef int status = csrc.EAD_OK
        with nogil:
            for i in range(count):
                status = self.take(values[i], missing[i], &histories[i, 0, 0], &told[i, 0])
                if status != csrc.EAD_OK:
                    break
        check_status(status)
        return out

    cdef int take(self, double value, long long missing, float *history, double *told) noexcept nogil:
        cdef csrc.ead_row_facts facts
        cdef int status
        if self.single:
            status = csrc.ead32_rows_judge(self.pointer32(), self.table.pointer32(), value, missing, &facts)
        else:
            status = csrc.ead_rows_judge(self.pointer(), self.table.pointer(), value, missing, &facts)
        if status != csrc.EAD_OK:
            return status
        told[0], told[1], told[2] = facts.verdict.score, facts.verdict.severity, facts.verdict.expected
        told[3], told[4], told[5] = facts.verdict.lower, facts.verdict.upper, facts.verdict.is_anomaly
        told[6], told[7], told[8], told[9] = facts.value, facts.scale, facts.score, facts.learning
        told[10] = csrc.ead32_rows_needed(self.pointer32()) if self.single else csrc.ead_rows_needed(self.pointer())
        return self.copy(history)

    cdef int copy(self, float *out) noexcept nogil:
        return csrc.ead32_rows_history(self.pointer32(), out) if self.single else csrc.ead_rows_history(self.pointer(), out)

    def rows(self, values):
        """Take readings one after another, without gaps, and tell the row each added to the history.

        Parameters
        ----------
        values : array_like, shape (count,)
            Finite.

        Returns
        -------
        ndarray of float32, shape (count, channels)
            A row depends on the readings up to its own, and on nothing else.

        Raises
        ------
        InvalidInput
            If the shape is another one or a value is not finite; then nothing changes.
        """
        values = np.ascontiguousarray(values, np.float64)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise InvalidInput(f"values of shape {values.shape}: expected finite numbers in one dimension")
        out = np.zeros((len(values), csrc.EAD_ROWS_CHANNELS), np.float32)
        if len(values) == 0:
            return out
        cdef const double[::1] source = values
        cdef float[:, ::1] target = out
        cdef size_t count = len(values)
        cdef int status
        cdef unsigned char[::1] state = _working_copy(self.block)
        with nogil:
            if self.single:
                status = csrc.ead32_rows_judge_many(<csrc.ead32_rows *> &state[0], self.table.pointer32(), &source[0], count, &target[0, 0])
            else:
                status = csrc.ead_rows_judge_many(<csrc.ead_rows *> &state[0], self.table.pointer(), &source[0], count, &target[0, 0])
        self.block[:] = state
        check_status(status)
        return out

    def history(self):
        """The newest rows, oldest first; float32, shape (channels, length)."""
        out = np.empty((csrc.EAD_ROWS_CHANNELS, self.length), np.float32)
        cdef float[:, ::1] target = out
        check_status(self.copy(&target[0, 0]))
        return out

    def revise(self, size_t age, double value):
        """As of `SpectralResidual`; rows already made stay as they are."""
        if self.single:
            check_status(csrc.ead32_rows_revise(self.pointer32(), self.table.pointer32(), age, value))
        else:
            check_status(csrc.ead_rows_revise(self.pointer(), self.table.pointer(), age, value))

    @property
    def needed(self):
        """Readings until judgements count."""
        return csrc.ead32_rows_needed(self.pointer32()) if self.single else csrc.ead_rows_needed(self.pointer())

    @property
    def nbytes(self):
        """Bytes of the state; the table of the window's length is shared and not counted."""
        return self.block.shape[0]

    def explain(self):
        """As of `SpectralResidual`."""
        cdef csrc.ead_spectral_facts facts
        if self.single:
            check_status(csrc.ead32_rows_explain(self.pointer32(), &facts))
        else:
            check_status(csrc.ead_rows_explain(self.pointer(), &facts))
        return _told(&facts)

    def dump(self):
        """The whole state as bytes, for `load`."""
        return bytes(self.block)

    def load(self, bytes state):
        """Replace what was learned by what `dump` gave, of the same sizes and precision; the settings stay.

        Raises
        ------
        InvalidInput
            If the bytes are not a whole and sound state of these; then nothing changes.
        """
        cdef int status
        cdef Py_ssize_t size = self.block.shape[0]
        cdef unsigned char[::1] block = _given(state, size)
        if self.single:
            status = csrc.ead32_rows_check(<csrc.ead32_rows *> &block[0], size, self.table.n, self.day, self.length)
        else:
            status = csrc.ead_rows_check(<csrc.ead_rows *> &block[0], size, self.table.n, self.day, self.length)
        _check_given(status)
        self.block[:] = block
        if self.single:
            check_status(csrc.ead32_rows_configure(self.pointer32(), &self.settings))
        else:
            check_status(csrc.ead_rows_configure(self.pointer(), &self.settings))


cdef unsigned char[::1] _given(bytes state, Py_ssize_t size):
    """A copy of given bytes, aligned as a block must be."""
    if len(state) != size:
        raise InvalidInput(f"state: {len(state)} bytes, expected {size} for these sizes")
    cdef unsigned char[::1] block = _aligned(size)
    cdef const unsigned char[::1] given = state
    block[:] = given
    return block


cdef _check_given(int status):
    if status != csrc.EAD_OK:
        raise InvalidInput("state: these bytes are damaged or of another detector, version or precision")
