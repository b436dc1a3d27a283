"""The noise of compiled runs is that of the model."""

from __future__ import annotations

import numpy as np
import pytest

from tpssim.scenarios.service_times import Constant, draws
from tpssim.simulation.compiled import noise
from tpssim.simulation.compiled.noise import KEPT, Which


@pytest.mark.parametrize("n", [10, KEPT + 1])
def test_constant_times_are_what_any_draws_come_to(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model draws uniform numbers for them; here they are not drawn."""
    service, out, which = Constant(0.1), np.empty(n), Which(n, 0, 0)
    expected = service.times(draws("uniform", n, 0, 0)).tobytes()
    monkeypatch.setattr(noise, "drawn", None)
    noise.fill_times(out, service, (), which)
    assert out.tobytes() == noise.times(service, (), which).tobytes() == expected
