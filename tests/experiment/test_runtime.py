"""The fields of `runtime:`."""

import pytest
from pydantic import ValidationError

from stilts.experiment.runtime import Runtime


@pytest.mark.parametrize("several", [{"ranks": 2}, {"zero_stage": 3}])
def test_the_torch_engine_refuses_what_it_cannot_shard(several: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="engine: torch trains on one rank"):
        Runtime(engine="torch", **several)
