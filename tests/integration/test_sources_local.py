"""Sources on this disk: what is read, and every way out of a data root that is closed."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgead.errors import ConfigError
from edgead.recording.variables import read_variables
from edgead.server.sources import Reader, SourceError, SourceSettings
from edgead.server.sources.tables import MAX_TABLES
from tests.sources import TABLE, VARIABLE, Place, empty, holds_secret


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_table_by_path_by_url_and_by_name(place: Place):
    reader = place.reader()
    for source in (
        str(place.root / "one.csv"),
        (place.root / "one.csv").as_uri(),
        "one.csv",
        "./one.csv"[2:],
    ):
        reader.check(source)
        found = place.fetch(reader, source)
        assert found.suffix == ".csv"
        assert found.read_text() == TABLE
        assert place.into in found.parents


def test_a_folder_of_variables(place: Place):
    (place.root / "many" / "README.txt").write_text("no variable")
    (place.root / "many" / "sub").mkdir()
    found = place.fetch(place.reader(), str(place.root / "many") + "/")
    assert sorted(path.name for path in found.iterdir()) == ["current.csv", "flow.csv"]
    assert list(read_variables(found).columns) == ["current", "flow"]


def test_the_root_itself_is_a_source_and_may_be_a_link(place: Place):
    link = place.base / "link"
    link.symlink_to(place.root / "many")
    reader = Reader(SourceSettings(roots=(str(link),)))
    for source in (str(link), str(place.root / "many"), str(link / "flow.csv")):
        assert place.fetch(reader, source).exists()


def test_a_name_of_many_roots_is_the_first_that_has_it(place: Place):
    other = place.base / "other"
    other.mkdir()
    (other / "late.csv").write_text(TABLE)
    reader = Reader(SourceSettings(roots=(str(place.root), str(other))))
    assert place.fetch(reader, "late.csv").read_text() == TABLE
    assert place.code(reader, "nowhere.csv") == "FileNotExist"


def test_parquet_is_known_by_its_bytes(place: Place):
    (place.root / "x.data").write_bytes(b"PAR1 and so on")
    assert place.fetch(place.reader(), "x.data").suffix == ".parquet"


def test_a_file_name_with_a_percent_sign(place: Place):
    (place.root / "100%.csv").write_text(TABLE)
    assert place.fetch(place.reader(), str(place.root / "100%.csv")).read_text() == TABLE
    assert place.fetch(place.reader(), (place.root / "100%.csv").as_uri()).read_text() == TABLE


def traversals(place: Place) -> list[str]:
    root, outside = str(place.root), str(place.base / "secret.csv")
    return [
        outside,
        f"file://{outside}",
        f"file://localhost{outside}",
        f"file:{outside}",
        f"{root}/../secret.csv",
        f"{root}/many/../../secret.csv",
        f"{root}/./../secret.csv",
        f"{root}//../secret.csv",
        "../secret.csv",
        "many/../../secret.csv",
        f"{root}/..",
        "..",
        ".",
        f"file://{root}/../secret.csv",
        f"file://{root}/%2e%2e/secret.csv",
        f"file://{root}/%2E%2e/secret.csv",
        f"file://{root}/..%2fsecret.csv",
        f"file://{root}%2f..%2fsecret.csv",
        f"file://{root}/%252e%252e/secret.csv",
        f"{root}/%2e%2e/secret.csv",
        f"{root}/..\\secret.csv",
        f"{root}\\..\\secret.csv",
        f"{root}/one.csv\x00/../../secret.csv",
        f"file://{root}/one.csv%00/../secret.csv",
        f"file://{root}/one.csv?/../../secret.csv",
        f"file://{root}/one.csv#/../../secret.csv",
        f"file://evil.example{outside}",
        f"file://127.0.0.1{outside}",
        f"{root}/out/secret.csv",
        f"{root}/outfile.csv",
        f"{root}/outrelative.csv",
        "out/secret.csv",
        "outfile.csv",
        f"{root}/loop/loop",
        "/proc/self/environ",
        "/proc/self/cwd/secret.csv",
        "/dev/stdin",
        "/etc/passwd",
        "file:///etc/passwd",
        "~/secret.csv",
        "$HOME/secret.csv",
        f"{root}.evil/secret.csv",
        f"{root}evil",
        "\uff0e\uff0e/secret.csv",
        "..;/secret.csv",
        f"zip://{outside}",
        f"local://{outside}",
        "",
        "/",
        "a" * 5000,
        "\ud800",
    ]


FORMS = range(51)


def test_the_forms_are_all_tried(place: Place):
    assert len(traversals(place)) == len(FORMS) >= 30


@pytest.mark.parametrize("number", FORMS)
def test_no_way_leads_out_of_the_root(place: Place, number: int):
    (place.root / "out").symlink_to(place.base)
    (place.root / "outfile.csv").symlink_to(place.base / "secret.csv")
    (place.root / "outrelative.csv").symlink_to("../secret.csv")
    (place.root / "loop").symlink_to("loop")
    (place.base / "data.evil").mkdir()
    source = traversals(place)[number]
    reader = place.reader()
    code = place.code(reader, source)
    assert code in {"InvalidBlobURL", "StorageReadError", "FileNotExist"}
    with pytest.raises(SourceError) as caught:
        reader.check(source)
    assert caught.value.code == code
    assert caught.value.status == (403 if code == "StorageReadError" else 400)


def test_what_lies_outside_is_told_the_same_whether_it_exists_or_not(place: Place):
    there, missing = str(place.base / "secret.csv"), str(place.base / "missing.csv")
    assert place.code(place.reader(), there) == place.code(place.reader(), missing) == "StorageReadError"


def test_without_a_root_nothing_is_read(place: Place):
    reader = Reader(SourceSettings())
    for source in (str(place.root / "one.csv"), "one.csv", "http://127.0.0.1/x", "/"):
        assert place.code(reader, source) == "StorageReadError"


def test_a_root_that_went_away_is_told_as_such(place: Place):
    reader = place.reader()
    place.root.rename(place.base / "elsewhere")  # as when a disk is no longer mounted
    for source in (str(place.root / "one.csv"), "one.csv"):
        with pytest.raises(SourceError, match="data root cannot be read"):
            reader.check(source)
        assert place.code(reader, source) == "StorageReadError"


def test_a_link_in_a_folder_of_variables_is_refused(place: Place):
    (place.root / "many" / "linked.csv").symlink_to(place.base / "secret.csv")
    assert place.code(place.reader(), "many") == "StorageReadError"


def test_pipes_and_devices_are_refused_and_do_not_block(place: Place):
    os.mkfifo(place.root / "pipe.csv")
    os.mkfifo(place.root / "many" / "pipe.csv")
    started = time.monotonic()
    assert place.code(place.reader(), "pipe.csv") == "ReadingFileError"
    assert place.code(place.reader(), "many") == "ReadingFileError"
    (place.root / "many" / "pipe.csv").unlink()
    (place.root / "many" / "folder.csv").mkdir()
    assert place.code(place.reader(), "many") == "ReadingFileError"
    reader = Reader(SourceSettings(roots=("/dev",)))
    for source in ("zero", "/dev/zero", "tty", "stdin"):
        assert place.code(reader, source) in {"ReadingFileError", "StorageReadError", "FileNotExist"}
    assert time.monotonic() - started < 10


def test_files_too_large_are_refused_before_and_while_they_are_read(place: Place):
    with open(place.root / "huge.csv", "wb") as file:
        file.truncate(3 * 10**9)
    assert place.code(place.reader(), "huge.csv") == "FileSizeTooLarge"
    assert place.code(place.reader(max_bytes=len(TABLE) - 1), "one.csv") == "FileSizeTooLarge"
    assert place.code(place.reader(max_bytes=2 * len(VARIABLE) - 1), "many") == "FileSizeTooLarge"
    assert place.fetch(place.reader(max_bytes=2 * len(VARIABLE)), "many").is_dir()


def test_files_of_proc_say_0_bytes_and_are_counted_all_the_same(place: Place):
    reader = Reader(SourceSettings(roots=("/proc/self",), max_bytes=10))
    assert place.code(reader, "maps") == "FileSizeTooLarge"


def test_time_is_bounded(place: Place):
    assert place.code(place.reader(), "one.csv", seconds=-1) == "GetDataError"


def test_two_files_of_one_variable_and_too_many_files(place: Place):
    (place.root / "many" / "flow.tsv").write_text(VARIABLE)
    assert place.code(place.reader(), "many") == "DuplicatedVariables"
    (place.root / "many" / "flow.tsv").unlink()
    for number in range(MAX_TABLES):
        (place.root / "many" / f"v{number}.csv").touch()
    assert place.code(place.reader(), "many") == "DataExceedsLimit"


def test_a_folder_without_tables(place: Place):
    (place.root / "none").mkdir()
    (place.root / "none" / ".hidden.csv").write_text(VARIABLE)
    assert place.code(place.reader(), "none") == "NoVariablesFound"


def test_a_full_disk_is_ours_and_not_the_source(place: Place):
    with pytest.raises(SourceError) as caught:
        place.reader().fetch("one.csv", place.base / "gone", time.monotonic() + 5)
    assert caught.value.code == "StorageWriteError"


@pytest.fixture
def swapping(place: Place) -> Iterator[threading.Event]:
    """A file and a folder that become links to the secret and back, as fast as the disk goes."""
    stop = threading.Event()
    (place.root / "folder").mkdir()
    (place.root / "folder" / "secret.csv").write_text(TABLE)
    for name, target in (("file.link", "../secret.csv"), ("folder.link", "..")):
        (place.root / name).symlink_to(target)

    def swap() -> None:
        while not stop.is_set():
            for name in ("file", "folder"):
                path = place.root / f"{name}.csv" if name == "file" else place.root / name
                os.rename(path, place.root / f"{name}.true")
                os.rename(place.root / f"{name}.link", path)
                os.rename(path, place.root / f"{name}.link")
                os.rename(place.root / f"{name}.true", path)

    (place.root / "file.csv").write_text(TABLE)
    thread = threading.Thread(target=swap)
    thread.start()
    yield stop
    stop.set()
    thread.join()


def test_a_race_with_links_never_leads_out(place: Place, swapping: threading.Event):
    reader, read, refused = place.reader(), 0, 0
    until = time.monotonic() + 3
    while time.monotonic() < until:
        for source in ("file.csv", "folder/secret.csv"):
            into = empty(place.into)
            try:
                found = reader.fetch(source, into, time.monotonic() + 5)
                assert found.read_text() == TABLE
                read += 1
            except SourceError:
                refused += 1
    assert read
    assert refused
    assert not holds_secret(place.into)


def test_blobs_of_old_programs_are_found_in_their_folder(place: Place):
    blobs = "https://acc.blob.core.windows.net/telemetry"
    reader = Reader(SourceSettings(mapped={blobs: str(place.root)}))
    found = place.fetch(reader, f"{blobs}/one.csv?sp=r&st=2022-01-01T00:00:00Z&sig=a%2Bb%3D")
    assert found.read_text() == TABLE
    assert place.fetch(reader, f"{blobs}/many").is_dir()
    assert place.fetch(reader, f"{blobs}/many/").is_dir()
    assert place.code(reader, f"{blobs}/none.csv?sig=SECRET") == "FileNotExist"
    assert place.code(reader, f"{blobs}/..%2fsecret.csv") == "InvalidBlobURL"
    assert place.code(reader, f"{blobs}2/one.csv") == "InvalidBlobURL"
    assert place.code(reader, "https://acc.blob.core.windows.net/other/one.csv") == "InvalidBlobURL"
    with pytest.raises(SourceError, match="neither mapped") as caught:
        reader.check("https://other.blob.core.windows.net/telemetry/one.csv?sig=SECRET")
    assert "SECRET" not in caught.value.message
    # a mapped folder is no data root: plain paths into it are still refused
    assert place.code(reader, str(place.root / "one.csv")) == "StorageReadError"


def test_every_wrong_setting_is_told():
    with pytest.raises(ConfigError) as caught:
        Reader(
            SourceSettings(
                roots=("/does/not/exist", ""),
                allowed=("ftp://host/", "http://127.1/", "https://h/?sig=x", "nonsense"),
                mapped={"https://a.blob.core.windows.net/c": "/nor/this"},
                ca="/no/such.pem",
            )
        )
    assert len(caught.value.mistakes) == 8
