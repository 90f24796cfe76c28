"""Job files: every key, every complaint at once with its line, and never a key in them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import JobError
from pipeline.job import Job, load_job, read_api_key

KEY = "0123456789abcdef0123456789abcdef"


def write(folder: Path, text: str, name: str = "jobs/catalog.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str) -> Job:
    return load_job(write(folder, text))


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(JobError) as raised:
        load(folder, text)
    return str(raised.value)


def test_a_manifest_is_all_that_a_job_needs(tmp_path: Path) -> None:
    job = load(tmp_path, "manifest: ../manifests/catalog.csv\n")
    assert job.name == "catalog"
    assert job.path == tmp_path / "jobs/catalog.yaml"
    assert job.manifest == (tmp_path / "manifests/catalog.csv",)
    assert job.outputs.directory == tmp_path / "outputs/catalog"
    assert (job.outputs.image, job.outputs.store) == ("{{ id }}", None)
    assert (job.prompt, job.parameters, job.inputs.root) == (None, {}, None)
    assert job.endpoint.model == "google/gemini-2.5-flash-image-edit"
    assert job.endpoint.base_url == "https://api.aimlapi.com"
    assert (job.endpoint.timeout_s, job.endpoint.connect_timeout_s) == (300, 10)
    assert (job.inputs.max_side, job.inputs.max_bytes) == (2048, 7_000_000)
    assert (job.limits.concurrency, job.limits.max_bytes_in_flight) == (16, 512_000_000)
    assert (job.retry.attempts, job.retry.on_unknown) == (6, "retry")
    assert (job.budget.run_usd, job.budget.day_usd, job.confirm_above_usd) == (None, None, 1.0)


def test_every_key_is_read(tmp_path: Path) -> None:
    job = load(
        tmp_path,
        """
name: white
manifest: [a.csv, /data/b.yaml]
prompt: "Put the {{ product }} on white."
parameters: {num_images: 2, aspect_ratio: 16:9, watermark: false}
endpoint:
  provider: aimlapi
  model: reve/edit-image
  base_url: http://127.0.0.1:8080/
  api_key_env: MY_KEY
  timeout_s: 100
  connect_timeout_s: 1.5
  download_timeout_s: 20
  price_usd: 0.05
  max_response_bytes: 64MiB
inputs: {root: .., max_side: 1024, max_bytes: 5 MB, background: '#fff', embed_urls: yes}
limits: {concurrency: 8, requests_per_minute: 300, images_per_minute: null, adaptive: no,
         max_bytes_in_flight: 1.5GB}
retry: {attempts: 3, wait_initial_s: 0, wait_max_s: 5, wait_jitter_s: 0, no_image_attempts: 1,
        on_unknown: hold}
budget: {run_usd: 25, day_usd: 100.5}
outputs: {directory: ../here, image: "{{ sku }}/{{ id }}", store: "s3://bucket/x"}
confirm_above_usd: 0
checks: {}
renditions:
schedule: {}
notify: []
""",
    )
    assert job.manifest == (tmp_path / "jobs/a.csv", Path("/data/b.yaml"))
    assert job.parameters == {"num_images": 2, "aspect_ratio": "16:9", "watermark": False}
    assert job.endpoint.base_url == "http://127.0.0.1:8080"
    assert job.endpoint.max_response_bytes == 64 * 2**20
    assert job.inputs.root == tmp_path
    assert (job.inputs.max_bytes, job.inputs.background) == (5_000_000, "#fff")
    assert job.inputs.embed_urls is True
    assert job.limits.adaptive is False
    assert job.limits.max_bytes_in_flight == 1_500_000_000
    assert job.retry.on_unknown == "hold"
    assert job.outputs.directory == tmp_path / "here"
    assert job.confirm_above_usd == 0


def test_all_problems_are_said_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """promt: x
endpoint:
  timeout_s: soon
  base_url: ftp://host
limits:
  concurency: 3
  adaptive: maybe
  concurrency: 0
retry: {on_unknown: guess}
checks: {blur: 1}
inputs: {max_bytes: lots, background: #fff
  }
outputs: here
budget: {day_usd: -1}
manifest: []
name: a/b
"""
    assert complaint(tmp_path, text).splitlines() == [
        "catalog.yaml:1: unknown key 'promt' (did you mean 'prompt'?)",
        "catalog.yaml:3: endpoint.timeout_s: no number",
        "catalog.yaml:4: endpoint.base_url: it is no http or https URL (https://host, perhaps with"
        " a path)",
        "catalog.yaml:6: unknown key 'concurency' in 'limits' (did you mean 'concurrency'?)",
        "catalog.yaml:7: limits.adaptive: neither true nor false",
        "catalog.yaml:8: limits.concurrency: must be at least 1",
        "catalog.yaml:9: retry.on_unknown: not among the choices ('retry', 'reconcile' or 'hold')",
        "catalog.yaml:10: unknown key 'blur' in 'checks' (there are decodes, min_size, ratio,"
        " not_blank, not_unchanged, not_duplicate, background_white, subject_kept, custom,"
        " custom_timeout_s, rerolls, reroll_budget_usd, top_up)",
        "catalog.yaml:11: inputs.background: it is empty (a colour like '#ffffff' stands in"
        " quotes)",
        "catalog.yaml:11: inputs.max_bytes: 'lots' is no size (512MB, 64MiB, or a number of bytes)",
        "catalog.yaml:13: outputs: no mapping (write 'key: value' lines below it)",
        "catalog.yaml:14: budget.day_usd: must be at least 0",
        "catalog.yaml:15: manifest: empty (name at least one)",
        "catalog.yaml:16: name: 'a/b' cannot name a folder: '/' cannot be part of a file name"
        " everywhere",
    ]


def test_a_job_without_a_manifest_says_what_to_add(tmp_path: Path) -> None:
    assert complaint(tmp_path, "name: x\n") == (
        "catalog.yaml:1: 'manifest' is missing (add it: manifest: …)"
    )


def test_an_unknown_key_without_a_near_one_lists_what_there_is(tmp_path: Path) -> None:
    message = complaint(tmp_path, "manifest: a.csv\nbudget: {max: 5}\n")
    assert message == "catalog.yaml:2: unknown key 'max' in 'budget' (there are run_usd, day_usd)"


def test_hundreds_of_problems_are_cut(tmp_path: Path) -> None:
    lines = complaint(tmp_path, "".join(f"zz{n}: 1\n" for n in range(300))).splitlines()
    assert len(lines) == 51
    assert lines[-1] == "catalog.yaml: and 251 more"


@pytest.mark.parametrize(
    "text",
    [
        f"endpoint: {{api_key: {KEY}}}",
        "endpoint: {api-key: hello-world}",
        f"endpoint: {{api_key_env: {KEY}}}",
        "api_key: hello-world",
        "endpoint: {api_key_env: hello-world}",
        "endpoint: {AIMLAPI_API_KEY: hello-world}",
        "parameters: {token: hello-world}",
        "prompt: sk-hello-world-0123456789",
        "notify: [{authorization: hello-world}]",
        "notify: [Bearer hello-world]",
        "endpoint: {base_url: 'https://user:hello-world@host'}",
        "endpoint: {base_url: 'https://host/?key=hello-world'}",
        "outputs: {store: 's3://me:hello-world@bucket'}",
    ],
)
def test_a_key_in_a_job_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    message = complaint(tmp_path, f"manifest: a.csv\n{text}\n")
    assert message.startswith("catalog.yaml:2: ")
    assert "environment variable" in message or "query" in message
    assert "hello-world" not in message
    assert KEY not in message


def test_broken_yaml_says_where(tmp_path: Path) -> None:
    message = complaint(tmp_path, "manifest: a.csv\nprompt: {{ product }} on white\n")
    assert message.startswith("catalog.yaml:2: ")
    assert "stands in quotes" in message
    with pytest.raises(JobError, match=r"^gone\.yaml: No such file"):
        load_job(tmp_path / "gone.yaml")


def test_a_job_is_frozen(tmp_path: Path) -> None:
    job = load(tmp_path, "manifest: a.csv\n")
    with pytest.raises(ValidationError):
        job.name = "other"  # type: ignore[misc]


def test_a_rehearsal_has_outputs_of_its_own(tmp_path: Path) -> None:
    job = load(tmp_path, "manifest: a.csv\noutputs: {directory: ../o/x, store: 's3://b/x'}\n")
    rehearsal = job.for_rehearsal()
    assert rehearsal.outputs.directory == tmp_path / "o/x-rehearsal"
    assert rehearsal.outputs.store is None
    assert rehearsal.path == job.path
    assert job.outputs.store == "s3://b/x"


def test_another_server_is_checked_like_the_jobs(tmp_path: Path) -> None:
    job = load(tmp_path, "manifest: a.csv\n")
    assert job.at("http://localhost:80/").endpoint.base_url == "http://localhost:80"
    with pytest.raises(JobError, match=r"^--base-url: it is no http or https URL"):
        job.at("localhost")


def test_the_key_comes_from_the_environment_or_from_env_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    job = load(tmp_path, "manifest: a.csv\nendpoint: {api_key_env: MY_KEY}\n")
    assert read_api_key(job, {"AIMLAPI_API_KEY": "x", "MY_KEY": " "}) is None
    write(tmp_path, "MY_KEY='in ${HOME} work'\n", "work/.env")
    assert read_api_key(job, {}) == "in ${HOME} work"
    write(tmp_path, "OTHER=1\nexport MY_KEY=beside\n", "jobs/.env")
    assert read_api_key(job, {}) == "beside"
    assert read_api_key(job, {"MY_KEY": "set\n"}) == "set"


def test_an_env_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    job = load(tmp_path, "manifest: a.csv\n")
    (tmp_path / "jobs/.env").write_bytes(b"AIMLAPI_API_KEY=\xff\n")
    with pytest.raises(JobError, match=r"\.env: cannot be read"):
        read_api_key(job, {})


def test_checks_are_read_with_their_limits(tmp_path: Path) -> None:
    job = load(
        tmp_path,
        """
manifest: a.csv
inputs: {fit: pad, fill: edge}
outputs: {size: 2000x1500, alpha: restore}
checks:
  min_size: 800
  ratio: true
  not_blank: false
  background_white: {share: 0.9}
  custom: shop_checks:logo
  rerolls: 2
  reroll_budget_usd: 1.5
  top_up: yes
""",
    )
    settings = job.checks.settings
    assert settings.min_size is not None
    assert settings.background_white is not None
    assert (settings.min_size.side, settings.background_white.share) == (800, 0.9)
    assert settings.not_blank is None
    assert job.checks.names == ("min_size", "ratio", "background_white", "logo")
    assert (job.checks.rerolls, job.checks.reroll_budget_usd, job.checks.top_up) == (2, 1.5, True)
    assert (job.inputs.fit, job.inputs.fill) == ("pad", "edge")
    assert (job.outputs.finished_size, job.outputs.alpha) == ((2000, 1500), "restore")
    assert job.finishes


def test_a_job_without_checks_looks_at_nothing(tmp_path: Path) -> None:
    job = load(tmp_path, "manifest: a.csv\nchecks: {not_blank: false}\n")
    assert (job.checks.names, job.checks.looks, job.finishes) == ((), False, False)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("checks: {not_blak: true}", "unknown key 'not_blak' in 'checks' (did you mean"),
        ("checks: {ratio: {tolerence: 1}}", "checks.ratio: unknown key 'tolerence' (did you mean"),
        ("checks: {ratio: 3}", "checks.ratio: tolerance is 3; choose 0 to 1"),
        ("checks: {min_size: true}", "checks.min_size: say how much, as side: 1000"),
        ("checks: {decodes: false}", "checks.decodes"),
        ("checks: {rerolls: 99}", "checks.rerolls: must be at most 20"),
        ("outputs: {size: big}", "outputs.size: 'big' is no size; write same_as_input"),
        ("inputs: {fit: stretch}", "inputs.fit: not among the choices"),
    ],
)
def test_what_is_wrong_with_a_check_is_said_with_its_line(
    tmp_path: Path, line: str, said: str
) -> None:
    found = complaint(tmp_path, f"manifest: a.csv\n{line}\n")
    assert found.startswith("catalog.yaml:2: ")
    assert said in found
