"""What we add to TUF metadata: when it was signed, and for how long a signature lasts."""

from datetime import UTC, datetime

from tuf.api.metadata import Signed

#: Field of every role: when it was signed.  TUF itself knows only when metadata ends.
SIGNED_AT = "x-edgead-signed"
#: Field of the root: days each role lasts.
LASTS = "x-edgead-days"
ROLES = ("root", "targets", "snapshot", "timestamp")
#: Days a signature lasts; the reasons are in docs/uplink.md.
DAYS = {"root": 1095, "targets": 365, "snapshot": 90, "timestamp": 30}
FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def signed_at(signed: Signed) -> datetime | None:
    """When metadata was signed, if it says so in our way."""
    told = signed.unrecognized_fields.get(SIGNED_AT)
    try:
        return datetime.strptime(told, FORMAT).replace(tzinfo=UTC) if isinstance(told, str) else None
    except ValueError:
        return None


def show(when: datetime) -> str:
    """A time as metadata writes it."""
    return when.strftime(FORMAT)
