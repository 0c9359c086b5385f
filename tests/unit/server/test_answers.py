"""What is kept of a judged row."""

from edgead.multivariate import Judgement
from edgead.server.answers import MAX_CONTRIBUTORS, Answer, row_of
from edgead.server.documents import rows_document

NAMES = tuple(f"v{number:03}" for number in range(300))


def test_a_row_names_so_many_changed_variables_as_contributors_at_most() -> None:
    """A machine of 300 variables that breaks as a whole would name 9000 a row, gigabytes in a long recording."""
    changes = tuple(1.0 + number for number in range(300))
    row = row_of(0, Judgement(2.0, (1 / 300,) * 300, changes), NAMES)
    assert len(row.causes) == len(row.changed) == MAX_CONTRIBUTORS
    assert [each.variable for each in row.changed] == list(range(299, 299 - MAX_CONTRIBUTORS, -1))
    (told,) = rows_document(Answer(NAMES, 28, (row,)), MAX_CONTRIBUTORS, "v1.1")
    assert {
        len(each["correlationChanges"]["changedVariables"]) for each in told["value"]["interpretation"]
    } == {30}


def test_a_row_with_few_changed_variables_names_them_all() -> None:
    row = row_of(0, Judgement(2.0, (1 / 300,) * 300, (0.5,) * 297 + (1.0, 3.0, 2.0)), NAMES)
    assert [each.variable for each in row.changed] == [298, 299, 297]
