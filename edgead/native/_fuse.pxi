# The network's part in a verdict: the binding of ead_fuse.  Included by _kernel.pyx.


cdef class Fusion:
    """Joins a network's answers about one series with what `RowHistory` said of the same readings.

    Parameters
    ----------
    length : int, 1..64
        Numbers of an embedding.
    patches : int, 8..1024
        Embeddings remembered.
    sensitivity, min_abs, min_rel, direction, single
        As of `SpectralResidual`.

    Raises
    ------
    InvalidInput
        If a parameter is out of range.

    Notes
    -----
    Of one thread at a time, as of `RowHistory`.
    """

    cdef unsigned char[::1] block
    cdef csrc.ead_spectral_settings settings
    cdef size_t length, patches
    cdef bint single

    def __cinit__(self, size_t length, size_t patches=128, *, int sensitivity=90, double min_abs=0.0, double min_rel=0.0,
                 direction="both", bint single=True):
        self.settings = _settings(sensitivity, min_abs, min_rel, direction)
        size = csrc.ead32_fuse_size(length, patches) if single else csrc.ead_fuse_size(length, patches)
        if size == 0:
            raise InvalidInput(f"length {length}, patches {patches}: expected 1..64 and 8..1024")
        self.single, self.length, self.patches = single, length, patches
        self.block = _aligned(size)
        if single:
            status = csrc.ead32_fuse_init(self.pointer32(), size, length, patches, &self.settings)
        else:
            status = csrc.ead_fuse_init(self.pointer(), size, length, patches, &self.settings)
        _check_settings(status, &self.settings)

    cdef csrc.ead_fuse *pointer(self) noexcept nogil:
        return <csrc.ead_fuse *> &self.block[0]

    cdef csrc.ead32_fuse *pointer32(self) noexcept nogil:
        return <csrc.ead32_fuse *> &self.block[0]

    def judge(self, tuple row, float log_odds, const float[::1] embedding):
        """The verdict about a reading; readings must come in the order in which `RowHistory.judge` took them.

        Parameters
        ----------
        row : tuple
            What `RowHistory.judge` gave for it.
        log_odds : float
            Of an anomaly at this reading, as the network says.
        embedding : ndarray of float32, shape (length,)
            Of the network.

        Returns
        -------
        tuple
            score, severity, expected, lower, upper, is_anomaly; while learning score 0 and NaN.

        Raises
        ------
        InvalidInput
            If a number is NaN or the shape another one; then nothing changes.
        """
        cdef csrc.ead_row_facts facts
        cdef csrc.ead_verdict out
        cdef int status
        if embedding.shape[0] != <Py_ssize_t> self.length:
            raise InvalidInput(f"embedding of shape ({embedding.shape[0]},): expected ({self.length},)")
        (facts.verdict.score, facts.verdict.severity, facts.verdict.expected, facts.verdict.lower, facts.verdict.upper,
         facts.verdict.is_anomaly, facts.value, facts.scale, facts.score, facts.learning) = row
        if self.single:
            status = csrc.ead32_fuse_judge(self.pointer32(), &facts, log_odds, &embedding[0], &out)
        else:
            status = csrc.ead_fuse_judge(self.pointer(), &facts, log_odds, &embedding[0], &out)
        check_status(status)
        return out.score, out.severity, out.expected, out.lower, out.upper, out.is_anomaly != 0

    def judge_many(self, const double[:, ::1] rows not None, const float[::1] log_odds not None,
                   const float[:, ::1] embeddings not None):
        """The verdicts about readings one after another, as of `judge`, bit for bit.

        Parameters
        ----------
        rows : ndarray of float64, shape (count, 11)
            What `RowHistory.judge_many` gave for them.
        log_odds : ndarray of float32, shape (count,)
        embeddings : ndarray of float32, shape (count, length)

        Returns
        -------
        ndarray of float64, shape (count, 6)
            As of `judge`; fewer rows where a number is NaN: those before it, and nothing after them has changed.

        Raises
        ------
        InvalidInput
            If shapes do not fit; then nothing changes.
        """
        cdef Py_ssize_t i, count = rows.shape[0]
        if (rows.shape[1] != ROW_FACTS or log_odds.shape[0] != count or embeddings.shape[0] != count
                or embeddings.shape[1] != <Py_ssize_t> self.length):
            raise InvalidInput(f"rows of shape ({count}, {rows.shape[1]}), {log_odds.shape[0]} log-odds, embeddings of shape "
                               f"({embeddings.shape[0]}, {embeddings.shape[1]}): expected {ROW_FACTS} and {self.length} "
                               "numbers of each reading")
        out = np.empty((count, 6))
        cdef double[:, ::1] told = out
        cdef int status = csrc.EAD_OK
        cdef Py_ssize_t done = 0
        with nogil:
            for i in range(count):
                status = self.take(&rows[i, 0], log_odds[i], &embeddings[i, 0], &told[i, 0])
                if status != csrc.EAD_OK:
                    break
                done += 1
        if status != csrc.EAD_E_NOT_FINITE:
            check_status(status)
        return out[:done]

    cdef int take(self, const double *row, float log_odds, const float *embedding, double *told) noexcept nogil:
        cdef csrc.ead_row_facts facts
        cdef csrc.ead_verdict out
        cdef int status
        facts.verdict.score, facts.verdict.severity, facts.verdict.expected = row[0], row[1], row[2]
        facts.verdict.lower, facts.verdict.upper, facts.verdict.is_anomaly = row[3], row[4], row[5] != 0
        facts.value, facts.scale, facts.score, facts.learning = row[6], row[7], row[8], row[9] != 0
        if self.single:
            status = csrc.ead32_fuse_judge(self.pointer32(), &facts, log_odds, embedding, &out)
        else:
            status = csrc.ead_fuse_judge(self.pointer(), &facts, log_odds, embedding, &out)
        if status == csrc.EAD_OK:
            told[0], told[1], told[2], told[3], told[4] = out.score, out.severity, out.expected, out.lower, out.upper
            told[5] = out.is_anomaly != 0
        return status

    @property
    def nbytes(self):
        """Bytes of the state."""
        return self.block.shape[0]

    def explain(self):
        """What the network's part in the last verdict was.

        Returns
        -------
        dict of str to float
            ``network``: 1 where it set the score; ``log_odds`` after the memory's discount, ``log_odds_bound``,
            ``familiarity`` (0.8..1, less for patches met before), ``patch_distance``, ``strangeness`` (that over its
            limit), ``patches``, ``told_from`` (score at sensitivity 90 below which nothing is told now; 0 = all is).
        """
        cdef csrc.ead_fuse_facts facts
        if self.single:
            check_status(csrc.ead32_fuse_explain(self.pointer32(), &facts))
        else:
            check_status(csrc.ead_fuse_explain(self.pointer(), &facts))
        return dict(network=float(facts.network), log_odds=facts.log_odds, log_odds_bound=facts.limit,
                    familiarity=facts.familiarity, patch_distance=facts.distance, strangeness=facts.strangeness,
                    told_from=facts.told_from, patches=float(facts.patches))

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
        cdef Py_ssize_t size = self.block.shape[0]
        cdef unsigned char[::1] block = _given(state, size)
        if self.single:
            _check_given(csrc.ead32_fuse_check(<csrc.ead32_fuse *> &block[0], size, self.length, self.patches))
        else:
            _check_given(csrc.ead_fuse_check(<csrc.ead_fuse *> &block[0], size, self.length, self.patches))
        self.block[:] = block
        if self.single:
            check_status(csrc.ead32_fuse_configure(self.pointer32(), &self.settings))
        else:
            check_status(csrc.ead_fuse_configure(self.pointer(), &self.settings))
