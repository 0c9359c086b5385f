"""What of the server's environment a job sees: a list of what it needs, because the rest may hold secrets.

A passphrase of the repository's keys, the broker's password or what a supervisor hands to the server is nothing that
reading a table and training on it needs; what is not there cannot end in a traceback, a library's report or a core.
"""

import os
from collections.abc import Mapping
from pathlib import Path

#: The system: programs and libraries, where scratch files go, language and time zone, certificates of the system.
_SYSTEM = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "LANG", "LANGUAGE", "TZ"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    }
)
#: Beginnings of names: Python itself, and the libraries that compute, their threads and the GPU.
_COMPUTING = (
    *("LC_", "PYTHON", "MALLOC_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "ATEN_", "NPY_"),
    *("CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_", "TORCH_", "PYTORCH_", "ORT_"),
)
#: For a source in an object store: the way out, and the credentials and settings that its driver looks for (s3fs and
#: botocore; adlfs and azure-identity).
_CLOUD = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "FSSPEC_CONFIG")
_AZURE = ("AZURE_", "IDENTITY_", "IMDS_", "MSI_", "AAD_", "FSSPEC_ABFS")
_DRIVERS: dict[str, tuple[str, ...]] = {
    "s3": ("AWS_", "FSSPEC_S3"),
    "abfs": _AZURE,
    "abfss": _AZURE,
}


def job_environment(source: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables for the process of a job.

    Parameters
    ----------
    source : str
        Where its data lie: only a job that reads an object store gets the credentials of that store.
    environ : mapping, optional
        Of the server, or of a cluster's worker.

    Returns
    -------
    dict of str to str
        With this edgead first in ``PYTHONPATH``: the job must run the code that gave the order.  Threads of OpenMP that
        wait do not spin unless told: on a busy machine that made a small training four times dearer.
    """
    scheme = source.partition("://")[0].lower()
    beginnings = (*_COMPUTING, *_CLOUD, *_DRIVERS[scheme]) if scheme in _DRIVERS else _COMPUTING
    kept = {
        name: value
        for name, value in environ.items()
        if name in _SYSTEM or name.upper().startswith(beginnings)  # proxies are written in either case
    }
    paths = [str(Path(__file__).resolve().parents[2]), *filter(None, [environ.get("PYTHONPATH")])]
    return {"OMP_WAIT_POLICY": "PASSIVE", **kept, "PYTHONPATH": os.pathsep.join(paths)}
