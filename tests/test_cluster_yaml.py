"""The clusters that come with the project: whole, legal by Ray's own schema, open to nobody, and of the pinned Ray."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from ray.autoscaler._private.util import prepare_config, validate_config

from stilts.run.cluster.notices import notice_source
from tests.servers import KEYS, s3_server

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "ray_jobs" / "cluster"
LAUNCHED = {"aws": ROOT / "cluster.yaml", "gcp": FOLDER / "gcp.yaml"}
EVERYONE = ("0.0.0.0", "::/0")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.fixture(params=LAUNCHED)
def cluster(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(LAUNCHED[request.param])


def workers(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: kind for name, kind in cluster["available_node_types"].items() if name != cluster["head_node_type"]}


def ray_version(image: str) -> str:
    found = re.search(r"(?:rayproject/ray:|ray)(\d+\.\d+\.\d+)", image)
    assert found, f"{image} names no version of Ray"
    return found[1]


def allowed(version: str) -> bool:
    """Whether pyproject.toml allows a version of Ray."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    [ray] = [found for found in map(Requirement, declared) if found.name == "ray"]
    return ray.specifier.contains(version)


def test_ray_takes_it_as_it_stands(cluster: dict[str, Any]) -> None:
    validate_config(prepare_config(cluster))


def test_the_image_is_pinned_to_an_allowed_ray(cluster: dict[str, Any]) -> None:
    assert allowed(ray_version(cluster["docker"]["image"]))


def test_the_head_works_for_drivers_alone(cluster: dict[str, Any]) -> None:
    head = cluster["available_node_types"][cluster["head_node_type"]]
    assert head["resources"]["CPU"] == 0
    assert head["resources"]["stilts_driver"] >= 1
    assert head["max_workers"] == 0
    config = json.dumps(head["node_config"]).lower()
    assert "spot" not in config
    assert "preemptible" not in config


def test_the_workers_are_several_types_of_spot_machines_with_gpus(cluster: dict[str, Any]) -> None:
    kinds = workers(cluster)
    assert len(kinds) > 1
    for kind in kinds.values():
        assert kind["resources"]["GPU"] >= 1
        assert kind["resources"]["CPU"] >= kind["resources"]["GPU"]
        assert (kind["min_workers"], kind["max_workers"]) == (0, cluster["max_workers"])
        assert "spot" in json.dumps(kind["node_config"]).lower()


def test_every_machine_has_a_disk_and_no_more_rights_than_it_needs() -> None:
    aws, gcp = (read(path)["available_node_types"] for path in LAUNCHED.values())
    for name, kind in aws.items():
        [disk] = kind["node_config"]["BlockDeviceMappings"]
        assert disk["Ebs"]["VolumeSize"] >= 150
        assert disk["Ebs"]["Encrypted"]
        assert kind["node_config"]["IamInstanceProfile"] == {
            "Name": "stilts-head" if name == "head" else "stilts-worker"
        }
        assert kind["node_config"]["SecurityGroupIds"]
        assert kind["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
    for name, kind in gcp.items():
        [disk] = kind["node_config"]["disks"]
        assert disk["initializeParams"]["diskSizeGb"] >= 150
        assert kind["node_config"]["networkInterfaces"]
        accounts = kind["node_config"].get("serviceAccounts", [])
        assert [a["email"].partition("@")[0] for a in accounts] == ([] if name == "head" else ["stilts-worker"])


def test_nothing_is_open_to_the_internet(cluster: dict[str, Any]) -> None:
    assert not any(found in json.dumps(cluster) for found in EVERYONE)
    [start] = [command for command in cluster["head_start_ray_commands"] if "ray start" in command]
    assert "--dashboard-host=127.0.0.1" in start
    assert "--autoscaling-config" in start
    assert "--env RAY_AUTH_MODE=token" in cluster["docker"]["run_options"]
    assert cluster["file_mounts"]["/home/ray/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("chmod 600 ~/.ray/auth_token" in command for command in cluster["setup_commands"])


def test_every_worker_watches_for_its_cloud_to_take_it_back(cluster: dict[str, Any]) -> None:
    *_, start, watch = cluster["worker_start_ray_commands"]
    assert "ulimit -n 65536; ray start" in start
    assert f"stilts watch --cloud {cluster['provider']['type']}" in watch
    assert notice_source(cluster["provider"]["type"])
    assert watch.startswith("setsid nohup ")
    assert watch.endswith("&")
    assert not any("stilts watch" in command for command in cluster["head_start_ray_commands"])


def test_the_setup_installs_this_checkout_with_extras_that_there_are(cluster: dict[str, Any]) -> None:
    [install] = [command for command in cluster["setup_commands"] if "pip install" in command]
    extras = re.search(r"'/home/ray/stilts\[(.*)\]'", install)
    assert extras
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras[1].split(",")) <= set(declared)
    assert cluster["file_mounts"]["/home/ray/stilts"] == "."
    assert "**/.git" in cluster["rsync_exclude"]


# What KubeRay's resource definition (1.5) knows of what the manifest says, level by level; kubectl drops other fields.
JOB_FIELDS = {
    "spec": "activeDeadlineSeconds backoffLimit clusterSelector deletionStrategy entrypoint entrypointNumCpus "
    "entrypointNumGpus entrypointResources jobId managedBy metadata rayClusterSpec runtimeEnvYAML "
    "shutdownAfterJobFinishes submissionMode submitterConfig submitterPodTemplate suspend ttlSecondsAfterFinished",
    "spec.rayClusterSpec": "authOptions autoscalerOptions enableInTreeAutoscaling gcsFaultToleranceOptions "
    "headGroupSpec headServiceAnnotations managedBy rayVersion suspend upgradeStrategy workerGroupSpecs",
    "spec.rayClusterSpec.authOptions": "mode",
    "spec.rayClusterSpec.autoscalerOptions": "env envFrom idleTimeoutSeconds image imagePullPolicy resources "
    "securityContext upscalingMode version volumeMounts",
    "spec.rayClusterSpec.headGroupSpec": "enableIngress headService labels rayStartParams resources serviceType "
    "template",
    "spec.rayClusterSpec.workerGroupSpecs": "groupName idleTimeoutSeconds labels maxReplicas minReplicas numOfHosts "
    "rayStartParams replicas resources scaleStrategy suspend template",
}


class TestRayJob:
    @pytest.fixture
    def job(self) -> dict[str, Any]:
        return read(FOLDER / "rayjob.yaml")

    @pytest.fixture
    def cluster(self, job: dict[str, Any]) -> dict[str, Any]:
        return job["spec"]["rayClusterSpec"]

    def test_kuberay_knows_its_fields(self, job: dict[str, Any]) -> None:
        assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
        for path, known in JOB_FIELDS.items():
            found = job
            for step in path.split("."):
                found = found[step]
            for level in found if isinstance(found, list) else [found]:
                assert set(level) <= set(known.split()), path

    def test_it_ends_and_takes_the_cluster_with_it(self, job: dict[str, Any]) -> None:
        assert job["spec"]["shutdownAfterJobFinishes"] is True
        assert job["spec"]["ttlSecondsAfterFinished"] <= 3600
        assert job["spec"]["activeDeadlineSeconds"] > 0
        assert job["spec"]["submitterConfig"]["backoffLimit"] == 0
        assert job["spec"]["entrypoint"].startswith("stilts run ")
        assert "://" in job["spec"]["entrypoint"]

    def test_the_driver_is_on_the_head_where_nothing_else_is(
        self, job: dict[str, Any], cluster: dict[str, Any]
    ) -> None:
        parameters = cluster["headGroupSpec"]["rayStartParams"]
        assert parameters["num-cpus"] == "0"
        [wanted] = json.loads(job["spec"]["entrypointResources"]).items()
        assert wanted == ("stilts_driver", 1)
        assert json.loads(json.loads(parameters["resources"]))["stilts_driver"] >= 1
        assert "spot" not in json.dumps(cluster["headGroupSpec"])

    def test_it_asks_for_a_token_and_is_reached_from_inside_alone(self, cluster: dict[str, Any]) -> None:
        assert cluster["authOptions"] == {"mode": "token"}
        assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
        assert not cluster["headGroupSpec"].get("enableIngress")
        assert not any(found in json.dumps(cluster) for found in EVERYONE)

    def test_the_autoscaler_is_the_one_that_stilts_asks(self, cluster: dict[str, Any]) -> None:
        assert cluster["enableInTreeAutoscaling"] is True
        assert cluster["autoscalerOptions"]["version"] == "v2"

    def test_workers_are_spot_machines_with_their_resources_written_out(self, cluster: dict[str, Any]) -> None:
        for group in cluster["workerGroupSpecs"]:
            assert (group["replicas"], group["minReplicas"]) == (0, 0)
            pod = group["template"]["spec"]
            assert any("spot" in toleration["key"] for toleration in pod["tolerations"])
            [container] = pod["containers"]
            limits = container["resources"]["limits"]
            assert limits == container["resources"]["requests"]
            assert group["rayStartParams"] == {"num-cpus": limits["cpu"], "num-gpus": str(limits["nvidia.com/gpu"])}
            assert "ephemeral-storage" in limits
            assert "stilts watch --cloud" in json.dumps(container["lifecycle"]["postStart"])

    def test_the_image_has_the_ray_that_the_manifest_names(self, cluster: dict[str, Any]) -> None:
        assert allowed(cluster["rayVersion"])
        groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
        images = {container["image"] for group in groups for container in group["template"]["spec"]["containers"]}
        assert {ray_version(image) for image in images} == {cluster["rayVersion"]}


def test_a_job_waits_for_resume_states_and_installs_nothing() -> None:
    environment = read(FOLDER / "job.yaml")
    assert set(environment) == {"excludes", "env_vars"}
    assert int(environment["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) > 120
    assert {".git/", ".venv/", "/stilts-store/"} <= set(environment["excludes"])


@pytest.mark.slow
def test_machines_start_as_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own launcher and provider, against a server that plays AWS."""
    import boto3
    from ray.autoscaler._private.aws.config import bootstrap_aws
    from ray.autoscaler._private.providers import _get_node_provider

    cluster = read(LAUNCHED["aws"])
    for name, value in {**KEYS, "AWS_DEFAULT_REGION": cluster["provider"]["region"], "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with s3_server() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{endpoint}")
        ec2 = boto3.client("ec2")
        access = _give_access(boto3.client("cloudformation"), ec2.describe_vpcs()["Vpcs"][0]["VpcId"])
        image = ec2.describe_images()["Images"][0]["ImageId"]
        for kind in cluster["available_node_types"].values():
            kind["node_config"].update(SecurityGroupIds=[access["Group"]], ImageId=image)
        cluster = bootstrap_aws(prepare_config(cluster))
        provider = _get_node_provider(cluster["provider"], cluster["cluster_name"])
        for name, kind in cluster["available_node_types"].items():
            provider.create_node(kind["node_config"], {"ray-user-node-type": name}, 1)
        started = [i for reservation in ec2.describe_instances()["Reservations"] for i in reservation["Instances"]]
        disks = ec2.describe_volumes()["Volumes"]
        rules = [rule for group in _groups(ec2, started) for rule in group["IpPermissions"]]
    assert len(started) == len(cluster["available_node_types"])
    for machine in started:
        head = machine["InstanceType"].startswith("m6i")
        assert machine.get("InstanceLifecycle") == (None if head else "spot")
        assert machine["IamInstanceProfile"]["Arn"].endswith("stilts-head" if head else "stilts-worker")
        assert [group["GroupId"] for group in machine["SecurityGroups"]] == [access["Group"]]
    assert {disk["Size"] for disk in disks if disk["Attachments"]} == {150, 200}
    assert all(disk["Encrypted"] for disk in disks if disk["Attachments"])
    assert [[allowed["CidrIp"] for allowed in rule["IpRanges"]] for rule in rules] == [["203.0.113.7/32"], []]


def _give_access(cloudformation: Any, vpc: str) -> dict[str, str]:
    given = {"Bucket": "bucket", "Address": "203.0.113.7/32", "Vpc": vpc}
    cloudformation.create_stack(
        StackName="stilts",
        TemplateBody=(FOLDER / "aws-access.yaml").read_text(),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    [stack] = cloudformation.describe_stacks(StackName="stilts")["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def _groups(ec2: Any, machines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ids = {group["GroupId"] for machine in machines for group in machine["SecurityGroups"]}
    return ec2.describe_security_groups(GroupIds=sorted(ids))["SecurityGroups"]
