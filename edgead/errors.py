"""Exceptions of edgead, and what their codes mean.

::

    EdgeADError
    ├── InvalidInput            the caller's data or argument is wrong; names field, value, expectation
    ├── ConfigError             a configuration file is wrong; carries every mistake found
    ├── NativeError             a C routine refused for a reason that is not the caller's data
    └── OuterWorldError         something outside the process failed
        ├── ModelPackageError   a model package is damaged, hostile or unfit
        ├── StoreError          the state directory or its database
        ├── BridgeError         the MQTT broker or the way to it
        └── UplinkError         the cloud side or the way to it
"""

#: What can be wrong with the data of a model of many variables, by the code of the REST contract; `InvalidInput.code`.
DATA_CODES = {
    "FileNotExist": "the file, the folder, or the file of a variable is missing",
    "RedundantFile": "a file or column is no variable of the model",
    "ReadingFileError": "a file cannot be read, or is no CSV or Parquet",
    "FileSizeTooLarge": "more than 2 GB",
    "NoVariablesFound": "no column of numbers, or no file in the folder",
    "DuplicatedVariables": "two columns have one name",
    "ColumnNotFound": "no column of this name, or no column of times",
    "FileColumnsNotExist": "a file of a folder is without timestamp or value",
    "NumColumnsMismatch": "a row has another number of cells than the header",
    "VariableParseError": "a cell is no number or no time",
    "MergeDataFailed": "a time occurs twice, or no time is common to all variables",
    "NoData": "a variable has no readings, or none in the span asked for",
    "TooManyData": "more than 1,000,000 readings of a variable",
    "DataExceedsLimit": "more variables or rows than are taken at once",
    "NotEnoughInput": "fewer rows than a window and one",
    "InsufficientHistoricalData": "a row has no whole window before it",
    "GetDataError": "a source cannot be reached",
}


class EdgeADError(Exception):
    """Base of everything edgead raises on purpose."""


class InvalidInput(EdgeADError, ValueError):
    """The caller's data or argument is wrong.

    Parameters
    ----------
    message : str
        Names the field, the value and what was expected.
    code : str, optional
        A code of the REST contract, where one exists (``"InvalidSeries"``, ...).
    """

    def __init__(self, message: str, *, code: str = "BadArgument") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ConfigError(EdgeADError):
    """A configuration file is wrong.

    Parameters
    ----------
    mistakes : sequence of str
        One plain sentence each: file, key, value and what was expected.
    """

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class NativeError(EdgeADError):
    """A C routine refused for a reason that is not the caller's data."""


class OuterWorldError(EdgeADError):
    """Something outside the process failed."""


class ModelPackageError(OuterWorldError):
    """A model package is damaged, hostile or unfit for this device."""


class StoreError(OuterWorldError):
    """The state directory or its database failed.

    Parameters
    ----------
    message : str
        A plain sentence: what failed, where, and what to do.
    kind : {"full", "read_only", "io", "corrupt", "locked", "version", "missing", "quota"}
        For code that must decide: ``full``, ``read_only`` and ``io`` may pass, so try again later; ``corrupt`` means
        close the store and open it again (opening sets the damaged file aside); ``locked`` means another process
        owns the directory; ``version`` means the file was written by a newer edgead; ``missing`` that there is none;
        ``quota`` that a bound set by people is reached.
    """

    def __init__(self, message: str, *, kind: str = "io") -> None:
        super().__init__(message)
        self.kind = kind


class BridgeError(OuterWorldError):
    """The MQTT broker, or the way to it, failed."""


class UplinkError(OuterWorldError):
    """The cloud side, or the way to it, failed."""
