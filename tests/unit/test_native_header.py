"""The public header: documented, mirrored in both precisions and in the binding; every status becomes an exception."""

import re
from pathlib import Path

import pytest

from edgead import errors, native

ROOT = Path(__file__).resolve().parent.parent.parent
HEADER = (ROOT / "csrc/include/edgead.h").read_text()
ONCE, PER_PRECISION = HEADER.split("#ifndef EDGEAD_H_REAL")
F32 = (ROOT / "csrc/include/edgead_f32.h").read_text()
MIRROR = (ROOT / "edgead/native/csrc.pxd").read_text()
PROTOTYPE = re.compile(r"^(?!typedef|#|/| \*)[a-z][^;{}#]*?\b(ead_[a-z0-9_]+)\([^;{]*\);", re.MULTILINE)
STATUSES = dict(re.findall(r"(EAD_E_\w+) = (-\d+)", HEADER))


def functions(text):
    return PROTOTYPE.findall(text)


def test_the_header_is_found_to_declare_what_it_declares():
    assert {"ead_status_text"} <= set(functions(ONCE))
    assert {"ead_fft", "ead_saliency", "ead_slide_feed", "ead_order_mad"} <= set(functions(PER_PRECISION))


def test_every_function_and_type_is_documented():
    for match in [
        *PROTOTYPE.finditer(HEADER),
        *re.finditer(r"^typedef struct (\w+) \w+;", HEADER, re.MULTILINE),
    ]:
        paragraph = HEADER[: match.start()].rpartition("\n\n")[2]
        assert "*/" in paragraph, f"{match.group(1)}: no comment before it or before its group"


def test_every_comment_of_a_function_that_returns_a_status_says_which():
    for match in PROTOTYPE.finditer(HEADER):
        # the service's section says it once for all its functions
        if match.group(0).startswith("int ead_") and not match.group(1).startswith("ead_svc_"):
            comment = HEADER[: match.start()].rsplit("/*", 1)[1]
            assert re.search(r"[Rr]eturns |[Oo]therwise as|EAD_E_", comment), match


@pytest.mark.parametrize("directive", ["define", "undef"])
def test_the_float_names_are_complete(directive):
    names = {
        *functions(PER_PRECISION),
        *re.findall(r"^typedef struct (\w+) ", PER_PRECISION, re.MULTILINE),
        "ead_real",
    }
    listed = set(re.findall(rf"^#{directive} (ead_\w+)", F32, re.MULTILINE))
    assert listed == names


def test_a_float_name_is_the_same_name_with_another_prefix():
    for name, renamed in re.findall(r"^#define (ead_\w+) (\w+)", F32, re.MULTILINE):
        assert renamed == name.replace("ead_", "ead32_", 1)


def test_the_binding_mirrors_every_function_in_both_precisions():
    mirrored = set(re.findall(r"\b(ead(?:32)?_\w+)\(", MIRROR))
    wanted = {*functions(HEADER), *(name.replace("ead_", "ead32_", 1) for name in functions(PER_PRECISION))}
    assert wanted - mirrored == set()


def test_every_definition_in_the_sources_is_declared_in_a_header():
    declared = set(functions(HEADER)) | set(functions((ROOT / "csrc/src/ead_internal.h").read_text()))
    for source in (ROOT / "csrc/src").glob("*.c"):
        for name in re.findall(
            r"^(?!static)\w[\w *]*?\b(ead_\w+)\([^;]*?\)\n\{", source.read_text(), re.MULTILINE
        ):
            assert name in declared or name.startswith(("ead_i_", "ead_svc_")), f"{source.name}: {name}"


@pytest.mark.parametrize("name", STATUSES)
def test_every_status_becomes_its_exception_with_its_text(name):
    status = int(STATUSES[name])
    expected = native.STATUS_ERRORS[status]
    assert issubclass(expected, errors.EdgeADError)
    with pytest.raises(expected) as caught:
        native.check_status(status)
    assert str(caught.value) not in ("ok", "unknown status")


def test_success_raises_nothing_and_an_unknown_status_is_a_native_error():
    native.check_status(0)
    with pytest.raises(errors.NativeError, match="unknown"):
        native.check_status(-99)
