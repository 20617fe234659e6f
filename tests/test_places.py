"""Places that cannot be meant: URIs of stores and folders of results."""

from pathlib import Path

import pytest

from stilts.errors import Problems, StiltsError
from stilts.experiment.experiment import Experiment
from stilts.experiment.load import load_experiment
from stilts.experiment.mistakes import InvalidExperiment
from stilts.places import check_folder, check_store
from stilts.storage.open import local_folder, open_store

MEANT = [
    "stilts-store",
    "./runs",
    "../shared/store",
    "a/../b",
    "/data/store",
    "~/store",
    "run:1/store",
    "my store",
    "naïve/ไทย",
    "file:///data/store",
    "s3://bucket",
    "s3://bucket/a?region=eu-west-1",
    "gs://my.bucket_1/a b",
]


@pytest.mark.parametrize("uri", MEANT)
def test_places_that_are_meant_pass_unchanged(uri: str) -> None:
    assert check_store(uri) == uri


REFUSED = [
    ("", "it is empty"),
    ("  ", "is empty"),
    (".", "did you mean './stilts-store'?"),
    ("./.", "no folder of its own"),
    ("..", "no folder of its own"),
    ("../..", "no folder of its own"),
    ("/", "no folder of its own"),
    ("//", "no folder of its own"),
    ("s3:/bucket/x", "did you mean 's3://bucket/x'?"),
    ("s3:bucket/x", "did you mean 's3://bucket/x'?"),
    ("s3//bucket/x", "did you mean 's3://bucket/x'?"),
    ("S3://bucket/x", "did you mean 's3://bucket/x'?"),
    ("s3a://bucket/x", "did you mean 's3://bucket/x'?"),
    ("gs:/bucket/x", "did you mean 'gs://bucket/x'?"),
    ("gcs://bucket/x", "did you mean 'gs://bucket/x'?"),
    ("GS:bucket", "did you mean 'gs://bucket'?"),
    ("s3://", "give it as s3://BUCKET/PREFIX"),
    ("s3:///x", "give it as s3://BUCKET/PREFIX"),
    ("s3://Bucket/x", "is no name of a bucket"),
    ("s3://my_bucket/x", "is no name of a bucket"),
    ("gs://Bucket/x", "is no name of a bucket"),
    ("s3://b/x", "is no name of a bucket"),
    ("s3://a..b/x", "is no name of a bucket"),
    ("s3://bucket:9000/x", "is no name of a bucket"),
    ("s3://[bucket/x", "not valid"),
    ("s3://bucket/a/../b", "no path inside a store"),
    ("s3://bucket//a", "no path inside a store"),
    ("s3://bucket/a#b", "give it as s3://BUCKET/PREFIX"),
    ("s3://bucket/a?versionId=3", "no parameter 'versionId'"),
    ("file://host/x", "did you mean 'file:///host/x'?"),
    ("file:x", "did you mean 'file:///x'?"),
    ("file:/x", "did you mean 'file:///x'?"),
    ("file://", "did you mean"),
    ("file:////x", "did you mean 'file:///x'?"),
    ("FILE:///x/y", "did you mean 'file:///x/y'?"),
    ("file:///a%20b", "%-escapes are not decoded"),
    ("file:///", "no folder of its own"),
    ("~nobody-of-this-name/x", "there is no user 'nobody-of-this-name'"),
    ("C:\\runs", "a path of Windows"),
    ("C:/runs", "a path of Windows"),
    ("c:", "a path of Windows"),
    ("c:runs", "a path of Windows"),
    ("//server/share", "a path of Windows"),
    ("runs\\store", "a path of Windows"),
    ("\\\\server\\share", "a path of Windows"),
    ("http://host/x", "a web address is no store"),
    ("https://bucket.s3.amazonaws.com/x", "a web address is no store"),
    ("az://container/x", "no storage for az://"),
    ("abfs://c@account/x", "no storage for abfs://"),
    ("hdfs://name/x", "no storage for hdfs://; give a local or shared directory, s3://"),
    ("host:/data/store", "no storage for host:"),
    ("store ", "begins or ends with a blank; did you mean 'store'?"),
    (" store", "begins or ends with a blank"),
    ("s3://bucket/x ", "begins or ends with a blank"),
    ("a\0b", "control character"),
    ("a\nb", "control character"),
    ("a\x1b[31mb", "control character"),
    ("$STORE/x", "a variable that was not replaced"),
    ("${STORE}", "a variable that was not replaced"),
    ("/data/$USER", "a variable that was not replaced"),
    ("%HOME%/x", "a variable that was not replaced"),
]


@pytest.mark.parametrize(("uri", "message"), REFUSED)
def test_a_store_that_cannot_be_meant_is_refused(
    uri: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(StiltsError) as error:
        open_store(uri)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "s3:").exists()


@pytest.mark.parametrize(
    "uri", ["s3:/user:HUSH@bucket/x", "s3:/bucket?access_key=HUSH", "https://u:HUSH@host/x", "file://u:HUSH@host/x"]
)
def test_a_refused_store_does_not_repeat_credentials(uri: str) -> None:
    with pytest.raises(StiltsError) as error:
        local_folder(uri)
    assert "HUSH" not in str(error.value)


@pytest.mark.parametrize("folder", ["", " ", ".", "s3://bucket/x", "file:///x", "C:/x", "$X/y", "~nobody-at-all/x"])
def test_a_folder_of_results_is_checked_alike(folder: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        check_folder(folder, "./results")


def test_the_place_of_the_mistake_is_said(tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(
        "name: e\nseeds: [1]\nmodels: {m: {hub: a/b}}\nintermediates: [none]\ntargets: [xnli]\nstore: 's3:/b/x'\n"
    )
    with pytest.raises(Problems, match=r"e\.yaml:6: store: 's3:/b/x': did you mean 's3://b/x'\?"):
        load_experiment(file)


def test_an_experiment_in_python_is_checked_alike() -> None:
    fields = {
        "name": "e",
        "seeds": [1],
        "models": {"m": {"hub": "a/b"}},
        "intermediates": ["none"],
        "targets": ["xnli"],
    }
    for wrong in ({"store": ""}, {"results": "s3://bucket/x"}):
        with pytest.raises(InvalidExperiment, match=r"store|results"):
            Experiment(**fields, **wrong)


def test_a_file_a_dangling_link_and_a_store_in_a_store_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "outer" / "stages" / "a").mkdir(parents=True)
    (tmp_path / "outer" / "store.json").write_text("{}")
    (tmp_path / "loop").symlink_to("loop")
    for place, message in {
        "file": "is a file",
        "file/x": "is a file",
        "link": "which does not exist",
        "link/x": "which does not exist",
        "loop": "cannot be reached",
        "x" * 300: "cannot be reached: File name too long",
        "outer/stages/a": "lies inside another store",
        "outer/stages/new/x": "lies inside another store",
    }.items():
        with pytest.raises(StiltsError, match=message):
            open_store(str(tmp_path / place))
    assert not (tmp_path / "gone").exists()
    open_store(str(tmp_path / "outer"))
    open_store(str(tmp_path / "outer" / "other"))
