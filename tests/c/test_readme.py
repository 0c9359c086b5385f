"""The examples of csrc/README.md compile as a firmware would compile them, and find a spike."""

import re
import subprocess

import pytest

from tests.c.build import INCLUDES, LANGUAGE, MCU, MCU_SOURCES, ROOT, SANITIZERS, gcc

NOISE = """
static float noise(void)
{
    static unsigned state = 1;
    state = state * 1664525u + 1013904223u;
    return 20.0f + (float)(state >> 16) / 65536.0f;
}
"""
WATCH = """
int main(void)
{
    if (watch_init() != EAD_OK)
        return 2;
    for (int i = 0; i < 1000; i++) {
        float sample = noise();
        if (watch(i == 900 ? sample + 30.0f : sample, 8.0f) != (i == 900))
            return 1;
    }
    return 0;
}
"""
DETECT = """
int main(void)
{
    ead_verdict verdict;
    static unsigned char flash[sizeof state_memory + 1];
    if (detector_init() != EAD_OK)
        return 2;
    for (int i = 0; i < 1000; i++) {
        float reading = noise();
        if (detector_take(i == 900 ? reading + 30.0f : reading, 0, &verdict) != (i == 900))
            return 1;
        if (i == 500) {
            size_t size = detector_save(flash + 1, sizeof flash - 1);
            if (size == 0 || detector_load(flash + 1, size) != EAD_OK)
                return 3;
        }
    }
    size_t size = detector_save(flash + 1, sizeof flash - 1);
    flash[5] ^= 1;
    if (detector_load(flash + 1, size) != EAD_E_STATE || detector_load(flash, sizeof flash) != EAD_E_STATE)
        return 4;
    return detector_take(20.0f, 3, &verdict);
}
"""
PROGRAMS = {"detector": (DETECT, 0), "saliency alone": (WATCH, 1)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_example_compiles_and_finds_a_spike(name, tmp_path):
    main, place = PROGRAMS[name]
    example = re.findall(r"```c\n(.*?)```", (ROOT / "csrc/README.md").read_text(), re.DOTALL)[place]
    source, program = tmp_path / "example.c", tmp_path / "example"
    source.write_text(example + NOISE + main)
    core = [
        path
        for path in MCU_SOURCES
        if path.stem in ("ead_slide", "ead_spectral", "ead_trig", "ead_saliency", "ead_fft", "ead_status")
    ]
    gcc(*LANGUAGE, *SANITIZERS, *MCU, *INCLUDES, source, *core, "-lm", "-o", program)
    assert subprocess.run([program]).returncode == 0


def test_every_source_file_is_in_the_table():
    text = (ROOT / "csrc/README.md").read_text()
    patterns = [re.escape(name).replace(r"\*", ".*") for name in re.findall(r"`(ead_[\w*]+\.[ch])`", text)]
    for path in MCU_SOURCES:
        if path.name not in ("ead_status.c",):
            assert any(re.fullmatch(pattern, path.name) for pattern in patterns), path.name
