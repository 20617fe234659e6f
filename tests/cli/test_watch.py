"""`stilts watch`: a cloud that cannot be asked is an error that names the choices."""

from tests.cli.conftest import Run


def test_an_unknown_cloud_is_named(stilts: Run) -> None:
    code, _, err = stilts("watch", "--cloud", "azure")
    assert code == 1
    assert "azure" in err
    assert "aws" in err
