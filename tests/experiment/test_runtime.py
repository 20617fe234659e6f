"""The fields of `runtime:`."""

from typing import Any

import pytest
from pydantic import ValidationError

from stilts.experiment.runtime import Runtime


@pytest.mark.parametrize("several", [{"ranks": 2}, {"zero_stage": 3}])
def test_the_torch_engine_refuses_what_it_cannot_shard(several: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="engine: torch trains on one rank"):
        Runtime(engine="torch", **several)


@pytest.mark.parametrize("fields", [{"engine": "torch"}, {"zero_stage": 0}])
def test_only_deepspeed_offloads(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="offload: DeepSpeed offloads from ZeRO stage 1"):
        Runtime(offload="optimizer", **fields)
    with pytest.raises(ValidationError, match="offload: all needs zero_stage 3"):
        Runtime(offload="all", zero_stage=2)
    assert Runtime(offload="all", zero_stage=3, ranks=2).offload == "all"
