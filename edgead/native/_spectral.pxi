# The streaming detector: the binding of ead_spectral.  Included by _kernel.pyx.

DIRECTIONS = {"both": csrc.EAD_BOTH, "above": csrc.EAD_ABOVE, "below": csrc.EAD_BELOW}

# Names of the detector's views, in the order of the header.
SPECTRAL_VIEWS = ("jump", "innovation", "fluctuation", "salient", "level", "noise", "frozen", "season")


cdef dict _told(const csrc.ead_spectral_facts *facts):
    """The facts by name."""
    told = {"view": SPECTRAL_VIEWS[facts.winner]}
    for i, name in enumerate(SPECTRAL_VIEWS):
        if facts.bounds[i] > 0:
            told[name], told[name + "_bound"] = facts.views[i], facts.bounds[i]
    told.update(
        saliency=facts.saliency, typical_innovation=facts.scale, baseline=facts.baseline, forecast=facts.forecast,
        budget_factor=facts.boost, season_rows=float(facts.season), identical_readings=float(facts.run),
        readings_seen=float(facts.seen))
    return told


cdef class SpectralResidual:
    """Judges the readings of one series one by one.

    Parameters
    ----------
    window : int, 12..8640
        Rows looked back on.
    sensitivity : int, 0..100
        Higher means a narrower band.
    min_abs, min_rel : float, >= 0
        Gates: deviations below either (unit of the series; share of the expected value) are no anomalies.
    direction : {"both", "above", "below"}
        Gate: side on which a value can be an anomaly.
    single : bool
        Keep the state in single precision: about 23 bytes a row of the window instead of 46.
    isa : str
        As in `slide_table`.

    Raises
    ------
    InvalidInput
        If a parameter is out of range.

    Notes
    -----
    Of one thread at a time: of calls that overlap, the last to end is what the state knows of.
    """

    cdef unsigned char[::1] block
    cdef SlideTable table
    cdef csrc.ead_spectral_settings settings
    cdef bint single

    def __cinit__(self, size_t window, *, int sensitivity=90, double min_abs=0.0, double min_rel=0.0,
                 direction="both", bint single=True, isa="best"):
        cdef int status
        if direction not in DIRECTIONS:
            raise InvalidInput(f"direction {direction!r}: expected one of {', '.join(DIRECTIONS)}")
        size = csrc.ead32_spectral_size(window) if single else csrc.ead_spectral_size(window)
        if size == 0:
            raise InvalidInput(
                f"window {window}: expected {csrc.EAD_SPECTRAL_MIN_LEN}..{csrc.EAD_SPECTRAL_MAX_LEN} rows")
        self.single = single
        self.table = slide_table(window, single=single, isa=isa)
        self.settings.sensitivity = sensitivity
        self.settings.direction = DIRECTIONS[direction]
        self.settings.min_abs = min_abs
        self.settings.min_rel = min_rel
        self.block = _aligned(size)
        if single:
            status = csrc.ead32_spectral_init(self.pointer32(), size, window, &self.settings)
        else:
            status = csrc.ead_spectral_init(self.pointer(), size, window, &self.settings)
        if status == csrc.EAD_E_RANGE:
            raise InvalidInput(f"sensitivity {sensitivity}, min_abs {min_abs}, min_rel {min_rel}: "
                               "expected 0..100 and numbers >= 0")
        check_status(status)

    cdef csrc.ead_spectral *pointer(self) noexcept nogil:
        return <csrc.ead_spectral *> &self.block[0]

    cdef csrc.ead32_spectral *pointer32(self) noexcept nogil:
        return <csrc.ead32_spectral *> &self.block[0]

    cdef int take(self, void *state, double value, unsigned long long missing, csrc.ead_verdict *out) noexcept nogil:
        if self.single:
            return csrc.ead32_spectral_judge(<csrc.ead32_spectral *> state, self.table.pointer32(), value, missing, out)
        return csrc.ead_spectral_judge(<csrc.ead_spectral *> state, self.table.pointer(), value, missing, out)

    def judge(self, double value, long long missing=0):
        """Judge the newest reading, `missing` rows after the one before, and learn from it.

        Returns (score, severity, expected, lower, upper, is_anomaly); while learning score 0 and NaN.
        InvalidInput if the value is not finite or `missing` is negative; then nothing changes.
        """
        cdef csrc.ead_verdict out
        if missing < 0:
            raise InvalidInput(f"missing {missing}: expected a number of rows >= 0")
        cdef int status = self.take(&self.block[0], value, missing, &out)
        if status != csrc.EAD_OK:
            if status == csrc.EAD_E_NOT_FINITE:
                raise InvalidInput(f"value {value}: expected a finite number")
            check_status(status)
        return out.score, out.severity, out.expected, out.lower, out.upper, out.is_anomaly != 0

    def judge_many(self, values, missing=None):
        """Judge readings one after another, as `judge` would, bit for bit.

        Parameters
        ----------
        values : array_like, shape (count,)
            Finite; all are checked before the first is judged.
        missing : array_like of int, shape (count,), optional
            Rows without a reading before each; none if left out.

        Returns
        -------
        tuple of ndarray, shape (count,) each
            score, severity, expected, lower, upper, is_anomaly (bool).

        Raises
        ------
        InvalidInput
            If shapes differ, a value is not finite or a number of rows negative; then nothing is judged.
        """
        values = np.ascontiguousarray(values, np.float64)
        gaps = np.zeros(values.shape, np.int64) if missing is None else np.ascontiguousarray(missing, np.int64)
        if values.ndim != 1 or gaps.shape != values.shape:
            raise InvalidInput(f"shapes {values.shape} and {gaps.shape} of values and missing: expected one and the same dimension")
        if not np.isfinite(values).all():
            raise InvalidInput("values: expected finite numbers, found NaN or infinity")
        if (gaps < 0).any():
            raise InvalidInput(f"missing {gaps.min()}: expected numbers of rows >= 0")
        out = np.empty((5, len(values)))
        hits = np.empty(len(values), np.bool_)
        cdef const double[::1] source = values
        cdef const long long[::1] between = gaps
        cdef double[:, ::1] target = out
        cdef unsigned char[::1] flags = hits.view(np.uint8)
        cdef Py_ssize_t i, count = len(values)
        cdef csrc.ead_verdict verdict
        cdef int status = csrc.EAD_OK
        cdef unsigned char[::1] state = _working_copy(self.block)
        with nogil:
            for i in range(count):
                status = self.take(&state[0], source[i], between[i], &verdict)
                if status != csrc.EAD_OK:
                    break
                target[0, i] = verdict.score
                target[1, i] = verdict.severity
                target[2, i] = verdict.expected
                target[3, i] = verdict.lower
                target[4, i] = verdict.upper
                flags[i] = verdict.is_anomaly
        self.block[:] = state
        check_status(status)
        return (*out, hits)

    def revise(self, size_t age, double value):
        """Replace the reading `age` readings ago (0 = newest) in what later ones are compared with; no judgement.

        A reading older than the window or than the last gap is left alone.  InvalidInput if the value is not finite.
        """
        if self.single:
            check_status(csrc.ead32_spectral_revise(self.pointer32(), self.table.pointer32(), age, value))
        else:
            check_status(csrc.ead_spectral_revise(self.pointer(), self.table.pointer(), age, value))

    @property
    def needed(self):
        """Readings until judgements count."""
        return csrc.ead32_spectral_needed(self.pointer32()) if self.single else csrc.ead_spectral_needed(self.pointer())

    @property
    def nbytes(self):
        """Bytes of the state; the table of the window's length is shared and not counted."""
        return self.block.shape[0]

    def explain(self):
        """What the last judgement was made of.

        Returns
        -------
        dict of str to float or str
            ``view``: name of the view that set the score; of each view that had a say ``NAME`` and ``NAME_bound``
            (typical innovations; readings for ``frozen``); ``saliency``, ``typical_innovation``, ``baseline``,
            ``forecast``, ``budget_factor``, ``season_rows`` (0 = none), ``identical_readings``, ``readings_seen``.
        """
        cdef csrc.ead_spectral_facts facts
        if self.single:
            check_status(csrc.ead32_spectral_explain(self.pointer32(), &facts))
        else:
            check_status(csrc.ead_spectral_explain(self.pointer(), &facts))
        return _told(&facts)

    def dump(self):
        """The whole state as bytes, for `load`."""
        return bytes(self.block)

    def load(self, bytes state):
        """Replace what was learned by what `dump` gave, of the same window and precision; the settings stay.

        Raises
        ------
        InvalidInput
            If the bytes are not a whole and sound state of these; then nothing changes.
        """
        cdef int status
        cdef Py_ssize_t size = self.block.shape[0]
        if len(state) != size:
            raise InvalidInput(f"state: {len(state)} bytes, expected {size} for this window")
        cdef unsigned char[::1] block = _aligned(size)  # given bytes need not be
        cdef const unsigned char[::1] given = state
        block[:] = given
        if self.single:
            status = csrc.ead32_spectral_check(<csrc.ead32_spectral *> &block[0], size, self.table.n)
        else:
            status = csrc.ead_spectral_check(<csrc.ead_spectral *> &block[0], size, self.table.n)
        if status != csrc.EAD_OK:
            raise InvalidInput("state: these bytes are damaged or of another detector, version or precision")
        self.block[:] = block
        if self.single:
            check_status(csrc.ead32_spectral_configure(self.pointer32(), &self.settings))
        else:
            check_status(csrc.ead_spectral_configure(self.pointer(), &self.settings))
