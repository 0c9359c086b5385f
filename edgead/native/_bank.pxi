# A bounded memory of patches: the binding of ead_bank.  Included by _kernel.pyx.


cdef class PatchBank:
    """A bounded memory of embeddings, spread over all that was learned.

    Parameters
    ----------
    length : int, 1..64
        Numbers of an embedding.
    patches : int, 8..1024
        Embeddings kept at most.
    single : bool
        Count in single precision.

    Raises
    ------
    InvalidInput
        If a parameter is out of range.
    """

    cdef unsigned char[::1] block
    cdef size_t length, patches
    cdef bint single

    def __cinit__(self, size_t length, size_t patches=128, *, bint single=True):
        size = csrc.ead32_bank_size(length, patches) if single else csrc.ead_bank_size(length, patches)
        if size == 0:
            raise InvalidInput(f"length {length}, patches {patches}: expected 1..64 and 8..1024")
        self.single, self.length, self.patches = single, length, patches
        self.block = _aligned(size)
        if single:
            check_status(csrc.ead32_bank_init(self.pointer32(), size, length, patches))
        else:
            check_status(csrc.ead_bank_init(self.pointer(), size, length, patches))

    cdef csrc.ead_bank *pointer(self) noexcept nogil:
        return <csrc.ead_bank *> &self.block[0]

    cdef csrc.ead32_bank *pointer32(self) noexcept nogil:
        return <csrc.ead32_bank *> &self.block[0]

    def meet(self, embedding, bint learn=True):
        """Distance to the nearest embedding in memory (-1 while fewer than 8 are kept); then learn it, if told to.

        InvalidInput if the shape is not (length,) or a number is NaN; then nothing changes.
        """
        embedding = np.ascontiguousarray(embedding, np.float32)
        if embedding.shape != (self.length,):
            raise InvalidInput(f"embedding of shape {embedding.shape}: expected ({self.length},)")
        cdef const float[::1] given = embedding
        cdef csrc.ead_wide distance = 0
        if self.single:
            check_status(csrc.ead32_bank_meet(self.pointer32(), &given[0], learn, &distance))
        else:
            check_status(csrc.ead_bank_meet(self.pointer(), &given[0], learn, &distance))
        return distance

    @property
    def reach(self):
        """Distance from which an embedding is kept."""
        return csrc.ead32_bank_reach(self.pointer32()) if self.single else csrc.ead_bank_reach(self.pointer())

    def __len__(self):
        return csrc.ead32_bank_count(self.pointer32()) if self.single else csrc.ead_bank_count(self.pointer())

    @property
    def nbytes(self):
        """Bytes of the state."""
        return self.block.shape[0]

    def dump(self):
        """The whole state as bytes, for `load`."""
        return bytes(self.block)

    def load(self, bytes state):
        """Replace the memory by what `dump` gave, of the same sizes and precision.

        Raises
        ------
        InvalidInput
            If the bytes are not a whole and sound state of these; then nothing changes.
        """
        cdef Py_ssize_t size = self.block.shape[0]
        cdef unsigned char[::1] block = _given(state, size)
        if self.single:
            _check_given(csrc.ead32_bank_check(<csrc.ead32_bank *> &block[0], size, self.length, self.patches))
        else:
            _check_given(csrc.ead_bank_check(<csrc.ead_bank *> &block[0], size, self.length, self.patches))
        self.block[:] = block
