"""The API's description: the official documents whole, and what is added."""

import json
import re
from pathlib import Path

import pytest

from edgead.server.description import describe

SPEC = Path(__file__).resolve().parents[4] / "shared" / "contract" / "spec" / "stable"
OFFICIAL = {"v1.0": SPEC / "v1.0" / "AnomalyDetector.json", "v1.1": SPEC / "v1.1" / "openapi.json"}


@pytest.fixture(scope="module")
def document():
    return describe()


@pytest.mark.parametrize("version", OFFICIAL)
def test_the_shipped_document_is_the_official_one(version: str):
    shipped = Path(__file__).parents[3] / "edgead" / "server" / "openapi" / f"{version}.json"
    assert shipped.read_bytes() == OFFICIAL[version].read_bytes()


@pytest.mark.parametrize("version", OFFICIAL)
def test_every_official_operation_and_answer_is_there(document, version: str):
    for path, operations in json.loads(OFFICIAL[version].read_text())["paths"].items():
        ours = document["paths"][f"/anomalydetector/{version}{path}"]
        for method, operation in operations.items():
            assert operation["responses"].keys() <= ours[method]["responses"].keys()
            assert len(operation.get("parameters", [])) == len(ours[method].get("parameters", []))


def test_every_reference_leads_somewhere(document):
    for reference in set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_operations_have_names_of_their_own_that_are_identifiers(document):
    names = [each["operationId"] for operations in document["paths"].values() for each in operations.values()]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)


def test_no_link_leads_to_a_file_that_is_not_served(document):
    assert "./examples" not in json.dumps(document)
