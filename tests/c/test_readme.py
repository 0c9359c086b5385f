"""The example of csrc/README.md compiles as a firmware would compile it, and finds a spike."""

import re
import subprocess

from tests.c.build import INCLUDES, LANGUAGE, MCU, MCU_SOURCES, ROOT, SANITIZERS, gcc

MAIN = """
int main(void)
{
    unsigned noise = 1;
    if (watch_init() != EAD_OK)
        return 2;
    for (int i = 0; i < 1000; i++) {
        noise = noise * 1664525u + 1013904223u;
        float sample = 20.0f + (float)(noise >> 16) / 65536.0f;
        if (watch(i == 900 ? sample + 30.0f : sample, 8.0f) != (i == 900))
            return 1;
    }
    return 0;
}
"""


def test_the_example_compiles_and_finds_a_spike(tmp_path):
    example = re.search(r"```c\n(.*?)```", (ROOT / "csrc/README.md").read_text(), re.DOTALL).group(1)
    source, program = tmp_path / "example.c", tmp_path / "example"
    source.write_text(example + MAIN)
    slide = [
        path
        for path in MCU_SOURCES
        if path.stem in ("ead_slide", "ead_trig", "ead_saliency", "ead_fft", "ead_status")
    ]
    gcc(*LANGUAGE, *SANITIZERS, *MCU, *INCLUDES, source, *slide, "-lm", "-o", program)
    assert subprocess.run([program]).returncode == 0


def test_every_source_file_is_in_the_table():
    text = (ROOT / "csrc/README.md").read_text()
    patterns = [re.escape(name).replace(r"\*", ".*") for name in re.findall(r"`(ead_[\w*]+\.[ch])`", text)]
    for path in MCU_SOURCES:
        if path.name not in ("ead_status.c",):
            assert any(re.fullmatch(pattern, path.name) for pattern in patterns), path.name
