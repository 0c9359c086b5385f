import pytest

from edgead.errors import InvalidInput
from edgead.univariate import DETECTORS, DetectorSettings, make_detector


@pytest.mark.parametrize(
    ("field", "value"),
    [("window", 3), ("sensitivity", 101), ("min_abs", -1.0), ("min_rel", float("nan")), ("direction", "up")],
)
def test_a_setting_out_of_range_is_named_with_its_value(field, value):
    with pytest.raises(InvalidInput, match=field) as caught:
        DetectorSettings(**{field: value})
    assert repr(value) in str(caught.value)


def test_an_unknown_detector_is_refused_with_the_known_names():
    with pytest.raises(InvalidInput, match=r"'foo'.*spectral-residual"):
        make_detector("foo", DetectorSettings())


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_continues_from_a_dump(name):
    settings = DetectorSettings(window=64)
    values = [10 + ((7 * i) % 11) / 10 for i in range(300)]
    whole, first, second = (make_detector(name, settings) for _ in range(3))
    expected = [whole.judge(v, 0) for v in values]
    for value in values[:150]:
        first.judge(value, 0)
    second.load(first.dump())
    assert repr([second.judge(v, 0) for v in values[150:]]) == repr(expected[150:])
    assert second.needed == 0
