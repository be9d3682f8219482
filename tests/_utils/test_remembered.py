"""Results remembered by their arguments, and put in from elsewhere."""

import copy
import pickle

from amc_gym._utils.remembered import LATEST, Remembered

calls = []


@Remembered
def double(number: int) -> list[int]:
    """Twice the number."""
    calls.append(number)
    return [2 * number]


def test_results_are_made_once_and_the_oldest_go():
    double.forget()
    calls.clear()
    first = double(0)
    for number in range(1, LATEST):
        double(number)
    assert double(0) is first  # and is the latest now
    double(LATEST)  # one more than are remembered
    assert double(0) is first
    assert calls == [*range(LATEST + 1)]
    double(1)
    assert calls[-1] == 1


def test_a_result_from_elsewhere_is_as_good():
    double.forget()
    calls.clear()
    double.put([7], 3)
    assert double(3) == [7]
    assert not calls


def test_it_is_sent_and_copied_by_name():
    assert pickle.loads(pickle.dumps(double)) is double
    assert copy.deepcopy(double) is double
    assert double.__doc__ == "Twice the number."
