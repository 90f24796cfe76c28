"""A CronJob. Kubernetes knows timezones, deadlines and overlaps by itself (1.27 and later)."""

from typing import Any

from pipeline.scheduling.units.unit import IMAGE, Unit, plain_cron

CATCH_UP_S = 3600
"""Without a deadline: a start that the cluster missed is made up for within so long. It gives up
for good after 100 missed ones, so without any bound a long outage would end the job for ever."""


def write(unit: Unit) -> dict[str, str]:
    """``pipeline-NAME.yaml``."""
    import yaml

    late = f"# The key: kubectl create secret generic {_secret(unit)}"
    head = f"""\
# The image: see docs/deploying.md. The claim `pipeline` holds jobs/, manifests/ and outputs/.
{late} --from-literal={unit.key_variable}=...
# Of several missed times Kubernetes makes up for one at most, within startingDeadlineSeconds.
"""
    text = yaml.safe_dump(_cron_job(unit), sort_keys=False, width=96)
    return {f"pipeline-{unit.slug}.yaml": head + text}


def _cron_job(unit: Unit) -> dict[str, Any]:
    schedule = unit.schedule
    deadline = schedule.deadline or (CATCH_UP_S if schedule.catch_up != "none" else 120)
    job: dict[str, Any] = {"backoffLimit": 0, "ttlSecondsAfterFinished": 7 * 86_400}
    if schedule.max_runtime is not None:
        # The command ends the run itself; this is for a pod that hangs.
        job["activeDeadlineSeconds"] = round(
            schedule.max_runtime + schedule.jitter + unit.stop_s + 60
        )
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": f"pipeline-{unit.slug}", "labels": _labels(unit)},
        "spec": {
            "schedule": plain_cron(unit.cron, "Kubernetes"),
            "timeZone": schedule.timezone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": round(deadline),
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 7,
            "jobTemplate": {
                "spec": {
                    **job,
                    "template": {"metadata": {"labels": _labels(unit)}, "spec": _pod(unit)},
                }
            },
        },
    }


def _pod(unit: Unit) -> dict[str, Any]:
    words = ["schedule", f"/data/{unit.folder.name}", "--once", unit.name, "--json"]
    if unit.schedule.jitter:
        words.append("--jitter")
    secret = {"name": _secret(unit), "key": unit.key_variable}
    return {
        "restartPolicy": "Never",
        # What is in flight is finished and kept before the pod ends.
        "terminationGracePeriodSeconds": unit.stop_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "pipeline",
                "image": IMAGE,
                "args": words,
                "env": [{"name": unit.key_variable, "valueFrom": {"secretKeyRef": secret}}],
                "resources": {
                    "requests": {"cpu": "500m", "memory": "1Gi"},
                    "limits": {"memory": "2Gi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "data", "mountPath": "/data"},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the pod
                ],
            }
        ],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "pipeline"}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _labels(unit: Unit) -> dict[str, str]:
    return {"app.kubernetes.io/name": "image-edit-pipeline", "pipeline/job": unit.slug}


def _secret(unit: Unit) -> str:
    return "pipeline-" + unit.key_variable.lower().replace("_", "-").strip("-")
